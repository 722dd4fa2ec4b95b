package vmguest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/vmguest/agent"
	"github.com/rkt/rkt/v2/sdk/vmhost/kernel"
)

// has says whether the guest's kernel can do what the module does.
func has(t *testing.T, k kernel.Kernel, module string) bool {
	t.Helper()
	table, err := kernel.Read(k.Modules)
	if err != nil {
		t.Fatal(err)
	}
	return table.Has(module)
}

// shared makes a directory of the host with things of other users in it.
func shared(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "shared")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("of the host\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(file, 1234, 2345); err != nil {
		t.Fatal(err)
	}
	return dir
}

// shareScript looks at a writable, a read-only and a file volume.
const shareScript = `
stat() { ls -ln $1 | { read mode n u g rest; echo $1 is $u:$g $mode; }; }
stat /rw/file; cat /rw/file; echo of the guest > /rw/new; mkdir /rw/dir
echo x 2>/dev/null > /ro/new || echo ro is read-only
stat /one; cat /one
echo done`

func sharePod(kind agent.ShareKind) *agent.PodSpec {
	a := app("a", shareScript)
	a.Mounts = []poddir.Mount{{Volume: "rw", Target: "/rw"}, {Volume: "ro", Target: "/ro"}, {Volume: "one", Target: "/one"}}
	u := app("u", `echo x > /rw/of-a-user; mkdir /rw/dir-of-a-user; echo y > /one || echo refused; id -u`)
	u.User, u.Group = "app", "app"
	u.Mounts = a.Mounts
	spec := podSpec(a, u)
	// By place, as with kvmtool, and on no writable disk.
	spec.Layers[0].Disk.Device = agent.Device{Index: 0}
	spec.Upper = nil
	for _, name := range []string{"rw", "ro", "one"} {
		spec.Pod.Volumes = append(spec.Pod.Volumes, poddir.Volume{Name: name, Kind: poddir.VolumeHost, Source: "/of/the/host", ReadOnly: name == "ro"})
		v := agent.Volume{Name: name, Kind: agent.VolumeShare, Share: &agent.Share{Kind: kind, Tag: "vol0"}, ReadOnly: name == "ro"}
		if name == "one" {
			v.Share.Path = "file"
		}
		spec.Volumes = append(spec.Volumes, v)
	}
	return spec
}

func sharedRight(t *testing.T, v *vm, spec *agent.PodSpec, dir string) {
	t.Helper()
	v.start(spec)
	v.exits(2)
	if out := v.output("u"); out != "refused\n1000\n" {
		t.Errorf("user wrote %q; %s", out, v.outputs["u/stderr"])
	}
	out := v.output("a")
	want := "/rw/file is 1234:2345 -rw-r-----\nof the host\nro is read-only\n/one is 1234:2345 -rw-r-----\nof the host\ndone\n"
	if out != want {
		t.Errorf("app wrote %q, want %q; stderr %q", out, want, v.outputs["a/stderr"])
	}
	v.down()
	if b, err := os.ReadFile(filepath.Join(dir, "new")); err != nil || string(b) != "of the guest\n" {
		t.Errorf("the host reads %q, %v", b, err)
	}
	var st unix.Stat_t
	for _, name := range []string{"of-a-user", "dir-of-a-user"} {
		if err := unix.Stat(filepath.Join(dir, name), &st); err != nil || st.Uid != 1000 || st.Gid != 1000 {
			t.Errorf("%s: %+v, %v", name, st, err)
		}
	}
	if err := unix.Stat(filepath.Join(dir, "dir"), &st); err != nil || st.Uid != 0 || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		t.Errorf("%+v, %v", st, err)
	}
}

func TestNineP(t *testing.T) {
	need(t, "qemu-system-x86_64", "mkfs.erofs")
	k := findKernel(t)
	if !has(t, k, "9p") {
		t.Skipf("kernel %s has no 9p: Debian's cloud kernels have none, its generic ones do", k.Version)
	}
	dir := shared(t)
	args := append(disk("layer0", layer(t), true),
		"-fsdev", "local,id=f0,path="+dir+",security_model=passthrough,multidevs=remap", "-device", "virtio-9p-pci,fsdev=f0,mount_tag=vol0")
	v := boot(t, k, []string{"9pnet_virtio", "9p"}, args...)
	sharedRight(t, v, sharePod(agent.NineP), dir)
}

func TestVirtiofs(t *testing.T) {
	need(t, "qemu-system-x86_64", "mkfs.erofs")
	k := findKernel(t)
	if !has(t, k, "virtiofs") {
		t.Skipf("kernel %s has no virtiofs", k.Version)
	}
	program := ""
	for _, p := range []string{"/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd"} {
		if _, err := os.Stat(p); err == nil {
			program = p
		}
	}
	if program == "" {
		t.Skip("needs virtiofsd")
	}
	dir := shared(t)
	sock := filepath.Join(t.TempDir(), "s")
	arg := "source=" + dir
	server := exec.Command(program, "--socket-path="+sock, "-o", arg, "-o", "sandbox=chroot,posix_lock")
	server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log := new(syncBuffer)
	server.Stdout, server.Stderr = log, log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		if t.Failed() {
			t.Logf("virtiofsd: %s", log)
		}
	})
	for end := time.Now().Add(bootTime); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(sock); err == nil {
			break
		}
		if time.Now().After(end) || strings.Contains(log.String(), "rror") {
			t.Fatalf("virtiofsd does not listen: %s", log)
		}
	}
	args := slices.Concat(disk("layer0", layer(t), true), []string{
		"-object", "memory-backend-memfd,id=mem,size=512M,share=on", "-numa", "node,memdev=mem",
		"-chardev", "socket,id=fs0,path=" + sock, "-device", "vhost-user-fs-pci,chardev=fs0,tag=vol0",
	})
	v := boot(t, k, []string{"virtiofs"}, args...)
	sharedRight(t, v, sharePod(agent.Virtiofs), dir)
}

// TestDevice: an app gets a disk itself, and opens no other.
func TestDevice(t *testing.T) {
	need(t, "qemu-system-x86_64", "mkfs.erofs")
	image := filepath.Join(t.TempDir(), "raw")
	if err := os.WriteFile(image, append([]byte("raw content\n"), make([]byte, 1<<20)...), 0o600); err != nil {
		t.Fatal(err)
	}
	a := app("a", `head -n 1 /data; ls -l /data | head -c 1; echo; echo changed | dd of=/data conv=notrunc 2>/dev/null; ls /dev
set -- $(tr : ' ' < /sys/block/vda/dev); mknod /x b $1 $2 && echo made disk; head -c 4 /x && echo OPENED
for p in /sys/class/virtio-ports/*; do set -- $(tr : ' ' < $p/dev); mknod /y c $1 $2 && echo made port; echo > /y && echo OPENED; done; echo end`)
	a.Mounts = []poddir.Mount{{Volume: "data", Target: "/data"}}
	spec := podSpec(a)
	spec.Upper = nil
	spec.Pod.Volumes = []poddir.Volume{{Name: "data", Kind: poddir.VolumeHost, Source: "/dev/of-the-host"}}
	spec.Volumes = []agent.Volume{{Name: "data", Kind: agent.VolumeDevice, Disk: &agent.Disk{Device: agent.Device{Serial: "data"}}}}
	v := boot(t, findKernel(t), nil, slices.Concat(disk("layer0", layer(t), true), disk("data", image, false))...)
	v.start(spec)
	v.exits(1)
	if out := v.output("a"); !strings.HasPrefix(out, "raw content\nb\n") || strings.Contains(out, "vda") || strings.Contains(out, "OPENED") ||
		!strings.Contains(out, "made disk\n") || !strings.Contains(out, "made port\n") || !strings.HasSuffix(out, "end\n") {
		t.Errorf("app wrote %q; stderr %q", out, v.outputs["a/stderr"])
	}
	v.down()
	if b, err := os.ReadFile(image); err != nil || !strings.HasPrefix(string(b), "changed\n") {
		t.Errorf("the disk has %.20q, %v", b, err)
	}
}
