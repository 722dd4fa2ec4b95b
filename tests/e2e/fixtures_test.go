package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The images, all of busybox-static, made by buildah and pushed by skopeo:
//
//	busybox:latest   gzip, two layers, CMD sh; /etc/passwd with user app (1000:1000), volume /data, port 80/tcp
//	busybox:zstd     the same, zstd layers
//	busybox:plain    the same, uncompressed layers
//	busybox:multi    an index of amd64, arm64 and s390x
//	busybox:entry    ENTRYPOINT ["/bin/echo","entry"], CMD ["default"]
//	busybox:user     USER app, WORKDIR /home/app
//	busybox:nocmd    neither ENTRYPOINT nor CMD
const buildScript = `
set -eu
export BUILDAH_ISOLATION=chroot
b="buildah --root $1/storage --runroot $1/runroot --storage-driver vfs"
out=$2
mkdir -p $1/root/bin $1/root/etc $1/root/tmp $1/root/root $1/root/home/app $1/root/data $1/root/proc $1/root/sys $1/root/dev
cp "$(command -v busybox)" $1/root/bin/busybox
for a in $($1/root/bin/busybox --list); do [ $a = busybox ] || ln -sf busybox $1/root/bin/$a; done
chmod 1777 $1/root/tmp
printf 'root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\n' > $1/root/etc/passwd
printf 'root:x:0:\napp:x:1000:\nextra:x:2000:app\n' > $1/root/etc/group
mkdir $1/own
echo seed > $1/own/seed
c=$($b from scratch)
$b copy -q $c $1/root /
$b config --cmd sh --env PATH=/bin --env FROM=image --os linux --arch $ARCH $c
$b commit -q $c base >/dev/null
c2=$($b from base)
echo second > $1/second
$b copy -q $c2 $1/second /etc/second
$b copy -q --chown 1000:1000 $c2 $1/own /data
$b config --volume /data --port 80/tcp $c2
$b commit -q $c2 oci:$out:latest >/dev/null
c3=$($b from base); $b config --entrypoint '["/bin/echo","entry"]' --cmd default $c3; $b commit -q $c3 oci:$out:entry >/dev/null
c4=$($b from base); $b config --user app --workingdir /home/app $c4; $b commit -q $c4 oci:$out:user >/dev/null
c5=$($b from scratch); $b copy -q $c5 $1/root /; $b commit -q $c5 oci:$out:nocmd >/dev/null
$b manifest create multi >/dev/null
for arch in amd64 arm64 s390x; do
  $b config --arch $arch --env BUILT_FOR=$arch $c2
  $b commit -q $c2 built-$arch >/dev/null
  $b manifest add multi built-$arch >/dev/null
done
$b manifest push -q --all multi oci:$out-multi:multi >/dev/null
# Other compressions through directories: skopeo reuses a blob that it knows a registry to have in another one.
skopeo copy -q --dest-decompress oci:$out:latest dir:$out-plain
skopeo copy -q --dest-compress --dest-compress-format zstd dir:$out-plain dir:$out-zstd
`

const pushScript = `
set -eu
out=$1 reg=$2
s="skopeo copy -q --dest-tls-verify=false"
for t in latest entry user nocmd; do $s oci:$out:$t docker://$reg/busybox:$t; done
$s --preserve-digests dir:$out-plain docker://$reg/busybox:plain
$s --preserve-digests dir:$out-zstd docker://$reg/busybox:zstd
$s --all oci:$out-multi:multi docker://$reg/busybox:multi
`

// makeFixtures builds the images and test programs, or takes them from RKT_TEST_FIXTURES, where buildFixtures put
// them on another machine (the guest of tests/guest has neither a builder nor Go), and fills the registry.
func makeFixtures() error {
	dir := os.Getenv("RKT_TEST_FIXTURES")
	if dir == "" {
		dir = filepath.Join(shared.work, "fixtures")
		if err := buildFixtures(dir); err != nil {
			return err
		}
	}
	shared.layout, shared.programs = filepath.Join(dir, "layout"), filepath.Join(dir, "programs")
	if _, err := tool("sh", "-c", pushScript, "push", shared.layout, shared.registry); err != nil {
		return fmt.Errorf("push images: %w", err)
	}
	return nil
}

func buildFixtures(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, "programs"), 0o755); err != nil {
		return err
	}
	build, err := os.MkdirTemp("/var/tmp", "rkt-fixtures-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(build)
	os.Setenv("ARCH", strings.TrimSpace(mustTool("go", "env", "GOARCH")))
	if _, err := tool("sh", "-c", buildScript, "build", build, filepath.Join(dir, "layout")); err != nil {
		return fmt.Errorf("build images: %w", err)
	}
	return buildPrograms(filepath.Join(dir, "programs"))
}

func mustTool(name string, args ...string) string {
	out, err := tool(name, args...)
	if err != nil {
		panic(err)
	}
	return out
}

// emulated is where stage1-lkvm has its programs for hosts without KVM.
const emulated = "./plugins/stage1-lkvm/internal/emulated/cmd/"

// buildPrograms compiles the plugins that only tests have, and the sdk's examples, as a vendor would.
func buildPrograms(programs string) error {
	for _, p := range []struct{ dir, name, pkg string }{
		{"", "badplugin", "./tests/badplugin"},
		{"fetcher-bad", "rkt-fetcher-bad", "./tests/badfetcher"},
		{"stage1-chroot", "rkt-stage1-chroot", "./sdk/example/stage1-chroot"},
		{"stage1-pidns", "rkt-stage1-pidns", "./sdk/example/stage1-pidns"},
		{"fetcher-file", "rkt-fetcher-file", "./sdk/example/fetcher-file"},
		{"network-veth", "rkt-network-veth", "./sdk/example/network-veth"},
		{"verifier-digest", "rkt-verifier-digest", "./sdk/example/verifier-digest"},
		{"", "lkvm", emulated + "lkvm"},
		{"stage1-lkvm", "rkt-stage1-lkvm", emulated + "rkt-stage1-lkvm"},
		{"stage1-lkvm", "rkt-stage1-lkvm-supervisor", emulated + "rkt-stage1-lkvm-supervisor"},
		{"stage1-lkvm", "rkt-vmguest", "./sdk/vmguest/cmd/rkt-vmguest"},
	} {
		dir := filepath.Join(programs, p.dir)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		script := "cd ../.. && CGO_ENABLED=0 go build -buildvcs=false -o " + filepath.Join(dir, p.name) + " " + p.pkg
		if p.name == "rkt-"+p.dir {
			script += " && " + filepath.Join(dir, p.name) + " manifest " + dir
		}
		if _, err := tool("sh", "-c", script); err != nil {
			return fmt.Errorf("build %s: %w", p.pkg, err)
		}
	}
	return nil
}
