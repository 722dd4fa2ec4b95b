package vmguest_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/vmguest/agent"
	"github.com/rkt/rkt/v2/sdk/vmhost/initramfs"
	"github.com/rkt/rkt/v2/sdk/vmhost/kernel"
)

// The kernel for the guest: a bzImage, and the directory with its modules.dep.
const (
	envKernel  = "RKT_TEST_VM_KERNEL"
	envModules = "RKT_TEST_VM_MODULES"
)

// bootTime is far beyond what a boot takes under emulation on a busy machine.
const bootTime = 4 * time.Minute

// modules are what the tests' guests need.
func modules() []string {
	return []string{"virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "virtio_rng", "erofs", "ext4", "crc32c_generic", "overlay"}
}

// vm is a guest under emulation.
type vm struct {
	*agent.Client
	t      *testing.T
	qemu   *exec.Cmd
	ended  chan struct{} // QEMU's end
	serial *syncBuffer

	mu      sync.Mutex
	outputs map[string]*syncBuffer
	copies  sync.WaitGroup
}

// syncBuffer is written by one goroutine and read by another.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// findKernel returns what the environment names, or the machine's own kernel.
func findKernel(t *testing.T) kernel.Kernel {
	t.Helper()
	k, err := kernel.Find(kernel.Where{Image: os.Getenv(envKernel), Modules: os.Getenv(envModules)}, kernel.Need{})
	if err != nil {
		t.Skipf("no kernel for a guest (%s, %s): %v", envKernel, envModules, err)
	}
	return k
}

// need skips when a program is missing.
func need(t *testing.T, programs ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: images keep owners")
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("needs %s: %v", p, err)
		}
	}
}

// program builds rkt-vmguest.
func program(t *testing.T) string {
	t.Helper()
	exe := filepath.Join(t.TempDir(), "rkt-vmguest")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", exe, "./cmd/rkt-vmguest")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return exe
}

// boot starts a guest and waits for its agent.
func boot(t *testing.T, k kernel.Kernel, more []string, args ...string) *vm {
	t.Helper()
	return bootOn(t, k, more, "", "virtserialport,chardev=ctl,name="+agent.PortName, args...)
}

// bootOn starts a guest with words for its command line, on a channel device.
func bootOn(t *testing.T, k kernel.Kernel, more []string, words, device string, args ...string) *vm {
	t.Helper()
	initrd, err := initramfs.Cached(t.TempDir(), initramfs.Contents{Init: program(t), Kernel: k, Modules: append(modules(), more...)})
	if err != nil {
		t.Fatal(err)
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "channel"), os.NewFile(uintptr(fds[1]), "channel of QEMU")
	v := &vm{t: t, ended: make(chan struct{}), serial: new(syncBuffer), outputs: map[string]*syncBuffer{}}
	v.qemu = exec.Command("qemu-system-x86_64", append([]string{
		"-machine", "q35,accel=tcg", "-cpu", "max", "-smp", "1", "-m", "512", "-nodefaults", "-no-user-config", "-display", "none",
		"-serial", "stdio", "-no-reboot", "-kernel", k.Image, "-initrd", initrd,
		"-append", "console=ttyS0 panic=-1 quiet cryptomgr.notests no_timer_check " + words,
		"-chardev", "socket,id=ctl,fd=3", "-device", "virtio-serial-pci", "-device", device,
	}, args...)...)
	v.qemu.ExtraFiles = []*os.File{theirs}
	v.qemu.Stdout, v.qemu.Stderr = v.serial, v.serial
	v.qemu.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := v.qemu.Start(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	theirs.Close()
	go func() { _ = v.qemu.Wait(); close(v.ended) }()
	t.Cleanup(func() {
		_ = v.qemu.Process.Kill()
		<-v.ended
		if t.Failed() {
			t.Logf("console:\n%s", v.serial)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), bootTime)
	defer cancel()
	go func() {
		select {
		case <-v.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	if v.Client, err = agent.Dial(ctx, ours); err != nil {
		t.Fatalf("no agent: %v", err)
	}
	t.Cleanup(func() { v.Close() })
	t.Logf("agent answers %v after QEMU's start; it is %+v", time.Since(began).Round(time.Millisecond), v.Hello())
	return v
}

// start starts the pod and collects what its apps write, under "app/stdout" and so on.
func (v *vm) start(spec *agent.PodSpec) {
	v.t.Helper()
	for i := range spec.Pod.Apps {
		a := &spec.Pod.Apps[i]
		v.collect(a.Name, agent.Stdout)
		if a.Stdin != poddir.StdinTTY {
			v.collect(a.Name, agent.Stderr)
		}
	}
	began := time.Now()
	if err := v.Start(v.ctx(), spec); err != nil {
		v.t.Fatalf("start: %v", err)
	}
	v.t.Logf("pod is born %v after the request", time.Since(began).Round(time.Millisecond))
}

func (v *vm) collect(app string, fd agent.FD) {
	v.t.Helper()
	s, err := v.OpenStream(app, fd)
	if err != nil {
		v.t.Fatal(err)
	}
	b := new(syncBuffer)
	v.mu.Lock()
	v.outputs[app+"/"+string(fd)] = b
	v.mu.Unlock()
	v.copies.Go(func() { _, _ = io.Copy(b, s); s.Close() })
}

func (v *vm) output(app string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.outputs[app+"/stdout"].String()
}

// ctx bounds one step.
func (v *vm) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), bootTime)
	v.t.Cleanup(cancel)
	return ctx
}

// await waits until the app has written what is wanted.
func (v *vm) await(app, want string) {
	v.t.Helper()
	for end := time.Now().Add(bootTime); !strings.Contains(v.output(app), want); time.Sleep(10 * time.Millisecond) {
		select {
		case <-v.Done():
			v.t.Fatalf("guest has ended: %v", v.Err())
		default:
		}
		if time.Now().After(end) {
			v.t.Fatalf("app %q has not written %q: %q", app, want, v.output(app))
		}
	}
}

// next is the next event of one of the kinds; warnings are logged.
func (v *vm) next(kinds ...agent.EventKind) agent.Event {
	v.t.Helper()
	ctx := v.ctx()
	for {
		select {
		case e, ok := <-v.Events():
			if !ok {
				v.t.Fatalf("no event %v: %v", kinds, v.Err())
			}
			for _, k := range kinds {
				if e.Kind == k {
					return e
				}
			}
			v.t.Logf("event %+v", e)
			if e.Kind == agent.EventFailed {
				v.t.Fatal(e.Text)
			}
		case <-ctx.Done():
			v.t.Fatalf("no event %v", kinds)
		}
	}
}

// exits collects the ends of so many apps.
func (v *vm) exits(n int) map[string]agent.Event {
	v.t.Helper()
	out := map[string]agent.Event{}
	for len(out) < n {
		e := v.next(agent.EventExited)
		out[e.App] = e
	}
	return out
}

// down kills the pod, switches the guest off, and sees QEMU end.
func (v *vm) down() {
	v.t.Helper()
	if err := v.Kill(v.ctx()); err != nil {
		v.t.Errorf("kill: %v", err)
	}
	v.copies.Wait()
	if err := v.PowerOff(v.ctx(), false); err != nil {
		v.t.Errorf("power off: %v", err)
	}
	v.over()
}

// over waits for QEMU's end.
func (v *vm) over() {
	v.t.Helper()
	select {
	case <-v.ended:
	case <-time.After(bootTime):
		v.t.Fatal("QEMU has not ended")
	}
}

// layer makes a directory with busybox, and an erofs image of it.
func layer(t *testing.T) (image string) {
	t.Helper()
	const exe = "/bin/busybox"
	b, err := os.ReadFile(exe)
	if err != nil {
		t.Skipf("needs a static busybox in %s (apt-get install busybox-static)", exe)
	}
	dir := filepath.Join(t.TempDir(), "layer")
	for name, content := range map[string]string{
		"bin/busybox": string(b),
		"etc/passwd":  "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n",
		"etc/group":   "root:x:0:\napp:x:1000:\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, a := range strings.Fields("sh cat ls id env sleep grep echo stty tty ip hostname head dd mount mkdir touch kill true date wc tee mknod tr") {
		if err := os.Symlink("busybox", filepath.Join(dir, "bin", a)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "tmp"), 0o777); err != nil {
		t.Fatal(err)
	}
	image = filepath.Join(t.TempDir(), "layer.erofs")
	if out, err := exec.Command("mkfs.erofs", "--quiet", "-x", "1", image, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return image
}

// upper makes a writable disk.
func upper(t *testing.T) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "rw.ext4")
	if out, err := exec.Command("mke2fs", "-q", "-t", "ext4", image, "128m").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return image
}

func disk(id, file string, readOnly bool) []string {
	drive := fmt.Sprintf("file=%s,if=none,id=%s,format=raw", file, id)
	if readOnly {
		drive += ",readonly=on"
	}
	return []string{"-drive", drive, "-device", "virtio-blk-pci,drive=" + id + ",serial=" + id}
}

func app(name, script string) poddir.App {
	return poddir.App{
		Name: name, Argv: []string{"/bin/sh", "-c", script}, Env: []string{"PATH=/bin", "COLOUR=green"},
		Rootfs: poddir.Rootfs{Layers: []string{"/store/layer"}},
		Capabilities: []string{
			"CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD", "CAP_NET_BIND_SERVICE",
			"CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
		},
		Seccomp: poddir.Seccomp{Mode: poddir.SeccompDefault}, NoNewPrivileges: true,
	}
}

func podSpec(apps ...poddir.App) *agent.PodSpec {
	seed := make([]byte, 64)
	_, _ = rand.Read(seed)
	return &agent.PodSpec{
		Pod:    poddir.Pod{UUID: "11111111-2222-3333-4444-555555555555", Hostname: "pod-in-vm", Apps: apps},
		Layers: []agent.Layer{{Path: "/store/layer", Disk: &agent.Disk{Device: agent.Device{Serial: "layer0"}, FSType: "erofs"}}},
		Upper:  &agent.Disk{Device: agent.Device{Serial: "rw"}, FSType: "ext4"},
		Etc: map[string][]byte{
			"hostname": []byte("pod-in-vm\n"), "hosts": []byte("127.0.0.1 localhost\n"), "resolv.conf": []byte("nameserver 192.0.2.53\n"),
		},
		Seed: seed, Debug: true, NoFile: &agent.Limit{Soft: 1000, Hard: 2000},
	}
}
