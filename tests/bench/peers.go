package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/moby/profiles/seccomp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/rkt/rkt/v2/tests/layout"
	"github.com/rkt/rkt/v2/tests/registry"
)

// peers are the engines, each with a store of its own that holds the same image.
type peers struct {
	dir, rkt string
	env      []string
	registry string
	image    string // docker://...
}

// prepare serves a busybox image from a real registry and pulls it into every engine.
func (b *peers) prepare() (func(), error) {
	addr, stop, err := registry.StartDocker(b.dir)
	if err != nil {
		return nil, err
	}
	b.registry = addr
	w, err := layout.New(filepath.Join(b.dir, "busybox"))
	if err != nil {
		return stop, err
	}
	box, err := exec.LookPath("busybox")
	if err != nil {
		return stop, err
	}
	if err := w.Layer(layout.Busybox(box, []string{"sh", "true", "sleep"})); err != nil {
		return stop, err
	}
	w.Config = ocispec.ImageConfig{Env: []string{"PATH=/bin"}, Cmd: []string{"/bin/true"}}
	if err := w.Close("latest"); err != nil {
		return stop, err
	}
	if err := b.push("busybox"); err != nil {
		return stop, err
	}
	b.image = "docker://" + b.registry + "/busybox:latest"
	if err := b.do(b.rkt, "--insecure-options=http", "fetch", b.image); err != nil {
		return stop, err
	}
	if err := b.do("podman", b.podman("pull", "-q", "--tls-verify=false", b.image)...); err != nil {
		return stop, err
	}
	return stop, b.bundle()
}

func (b *peers) push(name string) error {
	return b.do("skopeo", "copy", "-q", "--dest-tls-verify=false", "oci:"+filepath.Join(b.dir, name)+":latest", "docker://"+b.registry+"/"+name+":latest")
}

func (b *peers) podman(args ...string) []string {
	return append([]string{"--root", filepath.Join(b.dir, "podman"), "--runroot", filepath.Join(b.dir, "podman-run"),
		"--cgroup-manager=cgroupfs", "--runtime=crun", "--events-backend=none"}, args...)
}

// limits keep podman from raising rlimits, which needs a capability that not every root has.
var limits = []string{"--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"}

// bundle is what bare crun runs: the same root, podman's default seccomp profile and a memory limit.
func (b *peers) bundle() error {
	dir := filepath.Join(b.dir, "bundle")
	if err := b.do("sh", "-c", fmt.Sprintf("mkdir -p %[1]s/rootfs && cd %[1]s && crun spec && skopeo copy -q oci:%[2]s/busybox:latest dir:%[1]s/img && for l in $(jq -r '.layers[].digest' img/manifest.json); do tar xzf img/${l#sha256:} -C rootfs; done", dir, b.dir)); err != nil {
		return err
	}
	raw, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		return err
	}
	var spec specs.Spec
	if err := json.Unmarshal(raw, &spec); err != nil {
		return err
	}
	limit := int64(128 << 20)
	spec.Process.Args, spec.Process.Terminal, spec.Process.Rlimits = []string{"/bin/true"}, false, nil
	spec.Process.NoNewPrivileges = false
	spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &limit}
	if spec.Linux.Seccomp, err = seccomp.GetDefaultProfile(&spec); err != nil {
		return err
	}
	if raw, err = json.Marshal(spec); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "config.json"), raw, 0o644)
}

// do runs a program to its end; its output shows only when it fails.
func (b *peers) do(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Env = b.env
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return nil
}

func (b *peers) cleanup() {
	b.do("podman", b.podman("rm", "-fa", "-t", "0")...)
	b.do("podman", b.podman("pod", "rm", "-fa")...)
	b.do("podman", b.podman("network", "prune", "-f")...)
	b.do("ip", "link", "delete", "podman0")
	b.do(b.rkt, "gc", "--grace-period=0s", "--expire-prepared=0s")
	b.do("sh", "-c", "umount -l "+filepath.Join(b.dir, "podman", "overlay"))
}
