package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// vmio compares what a pod in a machine reads and writes through a host volume, and sends to the host, with bare
// QEMU: the same kernel and modules, the same virtiofsd with the same options, the same network device. The bare
// machine's tap ends at the listener; a pod's goes through its network namespace and the veth to the host.
func (b *peers) vmio(n int) error {
	v, err := b.machine()
	if err != nil || v == nil {
		return err
	}
	volume := filepath.Join(b.dir, "volume")
	if err := os.Mkdir(volume, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(volume, "in"), bytes.Repeat([]byte("0123456789abcde\n"), ioBytes/16), 0o644); err != nil {
		return err
	}
	box, err := exec.LookPath("busybox")
	if err != nil {
		return err
	}
	// Both guests start their programs from the share: what that costs is not the one's alone.
	if err := run("install", "-m", "0755", box, filepath.Join(volume, "busybox")); err != nil {
		return err
	}
	// A guest of 256 MiB: what was read stays in its page cache, so each file is read once.
	pod := func(addr string) (string, error) {
		cmd := exec.Command(b.rkt, "run", "--rm", "--stage1=qemu", "--volume=v,kind=host,source="+volume,
			b.image, "--mount=volume=v,target=/vol", "--exec=/bin/sh", "--", "-c", transfer(addr))
		cmd.Env = append(slices.Clone(b.env), "RKT_LOCAL_CONFIG="+v.etc)
		out, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("rkt run --stage1=qemu: %w\n%s", err, out)
		}
		return string(out), err
	}
	if _, err := pod(""); err != nil { // fills the caches
		return err
	}
	initramfs, err := v.initramfs(b)
	if err != nil {
		return err
	}
	m := &bareIO{machine: *v, dir: b.dir, volume: volume, box: box}
	if err := m.prepare(initramfs); err != nil {
		return err
	}
	defer m.close()
	var bare, rkt figures
	for range n {
		if err := bare.take(m.listen, m.run); err != nil {
			return err
		}
		// The pod reaches the host at the gateway of its default network.
		if err := rkt.take(func() (net.Listener, error) { return net.Listen("tcp4", "0.0.0.0:0") }, func(addr string) (string, error) {
			_, port, err := net.SplitHostPort(addr)
			if err != nil {
				return "", err
			}
			return pod("gateway " + port)
		}); err != nil {
			return err
		}
	}
	fmt.Printf("\nfiles and network in a machine, accel %s, MB/s, medians of %d\n%-44s %9s %9s %7s\n", v.accel, n, "", "bare", "rkt", "ratio")
	for i, name := range []string{"read a file of a host volume", "write a file of a host volume", "send to the host"} {
		x, y := middle(bare[i]), middle(rkt[i])
		fmt.Printf("%-44s %9.1f %9.1f %7.2f\n", name, x, y, y/x)
	}
	return nil
}

const ioBytes = 96 << 20

// transfer is what both guests run: they say by their own clocks, to hundredths, when they begin and end with the
// file (Debian's dd of busybox does not say it), and the listener measures what is sent.
func transfer(addr string) string {
	s := "set -e; b=/vol/busybox; now() { read up idle < /proc/uptime; echo now $up; }; $b sleep 2; " + // not in the middle of the start of whatever started it
		"now; $b dd if=/vol/in of=/dev/null bs=1M 2>/dev/null; now; $b dd if=/dev/zero of=/vol/out bs=1M count=96 conv=fsync 2>/dev/null; now; $b rm /vol/out"
	if addr == "" {
		return s
	}
	if port, ok := strings.CutPrefix(addr, "gateway "); ok {
		s += "; set -- $($b ip -4 route show default); addr=\"$3 " + port + "\""
	} else {
		s += "; addr='" + strings.Replace(addr, ":", " ", 1) + "'"
	}
	// Written by dd itself, in large pieces: by nc, in small ones, it would be system calls that are measured.
	return s + "; $b nc $addr -e $b dd if=/dev/zero bs=64k count=1024 2>/dev/null"
}

// figures are MB/s: read, written, sent.
type figures [3][]float64

var now = regexp.MustCompile(`now ([0-9.]+)`)

// take runs a guest once beside a listener that swallows what it sends.
func (f *figures) take(listen func() (net.Listener, error), run func(addr string) (string, error)) error {
	l, err := listen()
	if err != nil {
		return err
	}
	defer l.Close()
	rate := make(chan float64, 1)
	go func() { rate <- swallow(l) }()
	out, err := run(l.Addr().String())
	if err != nil {
		return err
	}
	said := now.FindAllStringSubmatch(out, -1)
	if len(said) != 3 {
		return fmt.Errorf("measure files in a machine: it did not say how long it took:\n%s", out)
	}
	var at [3]float64
	for i, s := range said {
		if at[i], err = strconv.ParseFloat(s[1], 64); err != nil {
			return err
		}
	}
	for i := range 2 {
		f[i] = append(f[i], ioBytes/1e6/max(at[i+1]-at[i], 0.01))
	}
	l.Close() // a guest that never connected is not waited for
	r := <-rate
	if r == 0 {
		return fmt.Errorf("measure the network of a machine: nothing came:\n%s", out)
	}
	f[2] = append(f[2], r)
	return nil
}

// swallow measures from the first byte to the last.
func swallow(l net.Listener) float64 {
	c, err := l.Accept()
	if err != nil {
		return 0
	}
	defer c.Close()
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		return 0
	}
	begin := time.Now()
	n, _ := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, 256<<10))
	if n < 64<<20-1 {
		return 0
	}
	return float64(n) / 1e6 / time.Since(begin).Seconds()
}

func middle(f []float64) float64 {
	s := slices.Sorted(slices.Values(f))
	return s[len(s)/2]
}

// bareIO is QEMU with a share and a tap, in a network namespace of its own.
type bareIO struct {
	machine
	dir, volume, box string
	initrd           string
}

const (
	bareNetns = "rkt-bench"
	bareHost  = "192.0.2.1"
	bareGuest = "192.0.2.2"
)

// prepare puts busybox and an init of the bench's beside rkt's own, in a second archive that the kernel unpacks
// over the first.
func (m *bareIO) prepare(initramfs string) error {
	root := filepath.Join(m.dir, "bare")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	init := `#!/busybox sh
b=/busybox
$b mount -t proc proc /proc
$b mount -t devtmpfs dev /dev
for m in $($b cat /modules/order); do $b insmod /modules/$m; done
$b mkdir /vol /sys 2>/dev/null
$b mount -t virtiofs vol /vol || { echo no share; $b poweroff -f; }
$b ip link set eth0 up
$b ip addr add ` + bareGuest + `/24 dev eth0
. /vol/script
echo done
$b poweroff -f
`
	if err := os.WriteFile(filepath.Join(root, "bench-init"), []byte(init), 0o755); err != nil {
		return err
	}
	m.initrd = filepath.Join(m.dir, "bare.cpio")
	if err := run("sh", "-c", fmt.Sprintf("cp %[3]s %[1]s/busybox && chmod 755 %[1]s/busybox && cp %[2]s %[4]s && truncate -s %%4 %[4]s && cd %[1]s && find . | busybox cpio -o -H newc >> %[4]s 2>/dev/null", root, initramfs, m.box, m.initrd)); err != nil {
		return err
	}
	return run("sh", "-c", fmt.Sprintf("ip netns add %[1]s && ip -n %[1]s link set lo up && ip -n %[1]s tuntap add mode tap name tap0 && ip -n %[1]s addr add %[2]s/24 dev tap0 && ip -n %[1]s link set tap0 up", bareNetns, bareHost))
}

func (m *bareIO) close() { _ = run("ip", "netns", "del", bareNetns) }

func run(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// listen makes the socket in the bare machine's namespace; its thread ends with the goroutine.
func (m *bareIO) listen() (net.Listener, error) {
	type result struct {
		l   net.Listener
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread()
		ns, err := os.Open("/run/netns/" + bareNetns)
		if err == nil {
			defer ns.Close()
			err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
		}
		var l net.Listener
		if err == nil {
			l, err = net.Listen("tcp4", bareHost+":0")
		}
		done <- result{l, err}
	}()
	r := <-done
	return r.l, r.err
}

// bareShare serves a directory on a socket, with the options of a pod's.
func bareShare(dir, volume string) (*exec.Cmd, string, error) {
	places := []string{"/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd", "/usr/lib/virtiofsd"}
	i := slices.IndexFunc(places, func(p string) bool { _, err := os.Stat(p); return err == nil })
	if i < 0 {
		return nil, "", errors.New("measure files in a machine: no virtiofsd (apt-get install qemu-system-common)")
	}
	socket := filepath.Join(dir, "share.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return nil, "", err
	}
	l.SetUnlinkOnClose(false)
	defer l.Close()
	listening, err := l.File()
	if err != nil {
		return nil, "", err
	}
	defer listening.Close()
	share := exec.Command(places[i], "--fd=3", "-o", "source="+volume, "-o", "sandbox=chroot", "-o", "cache=auto", "-o", "timeout=0", "-o", "xattr", "-o", "log_level=err", "--rlimit-nofile=0", "-f")
	share.ExtraFiles = []*os.File{listening}
	share.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return share, socket, share.Start()
}

// run boots the machine, whose init reads what to do from the share, and returns its console.
func (m *bareIO) run(addr string) (string, error) {
	script := filepath.Join(m.volume, "script")
	if err := os.WriteFile(script, []byte(transfer(addr)+"\n"), 0o644); err != nil {
		return "", err
	}
	defer os.Remove(script)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	share, socket, err := bareShare(m.dir, m.volume)
	if err != nil {
		return "", err
	}
	defer os.Remove(socket)
	defer share.Wait()
	defer share.Process.Kill()
	args := bareArgs(m.accel, m.kernel, m.initrd, "rdinit=/bench-init")
	cmd := exec.CommandContext(ctx, "ip", append(append([]string{"netns", "exec", bareNetns, "qemu-system-x86_64"}, args...),
		"-object", "memory-backend-memfd,id=memory,share=on,size=256M", "-machine", "memory-backend=memory", "-m", "256M",
		"-serial", "stdio", "-object", "rng-builtin,id=e", "-device", "virtio-rng-pci,rng=e",
		"-chardev", "socket,id=s,path="+socket, "-device", "vhost-user-fs-pci,chardev=s,tag=vol",
		"-netdev", "tap,id=n,ifname=tap0,script=no,downscript=no,vhost=off", "-device", "virtio-net-pci,netdev=n,romfile=")...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err = cmd.Start(); err == nil {
		done := ownGroup(share.Process.Pid, cmd.Process.Pid)
		err = cmd.Wait()
		share.Process.Kill()
		done()
	}
	if err == nil && !bytes.Contains(out.Bytes(), []byte("done")) {
		err = errors.New("its init did not come to the end")
	}
	if err != nil {
		err = fmt.Errorf("run bare machine: %w\n%s", err, out.Bytes())
	}
	return out.String(), err
}

// ownGroup gives processes a cgroup of their own, as a pod has: on a busy host a process gets what its group gets. The
// result removes it, once they are gone. Hosts with cgroup v2 alone go without.
func ownGroup(pids ...int) func() {
	dir := "/sys/fs/cgroup/cpu/rkt-bench"
	if os.Mkdir(dir, 0o755) != nil {
		return func() {}
	}
	for _, pid := range pids {
		_ = os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0)
	}
	return func() {
		for range 100 { // until the last of them has been reaped
			if os.Remove(dir) == nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}
