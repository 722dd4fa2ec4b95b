package main

import (
	"crypto/sha256"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/linuxpod"
)

// ownCaps is every capability that this machine's root has.
func ownCaps(t *testing.T) []string {
	t.Helper()
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		t.Fatal(err)
	}
	return linuxpod.CapNames(uint64(data[0].Permitted) | uint64(data[1].Permitted)<<32)
}

func hash(t *testing.T, name string) [32]byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(b)
}

// The host's program cannot be overwritten from inside, by an app with every capability and no filter, through
// PID 1 or through the process that `rkt enter` makes (CVE-2019-5736).
func TestHostProgramIsSealed(t *testing.T) {
	layer := busybox(t)
	exe, err := built()
	if err != nil {
		t.Fatal(err)
	}
	before := hash(t, exe)
	a := app("a", layer, `
		echo evil >> /proc/1/exe && echo written
		while ! [ -e /tmp/stop ]; do
			for p in /proc/[0-9]*; do
				[ "$p" = /proc/$$ ] || echo evil 2>/dev/null >> $p/exe
			done
		done 2>/dev/null; true`)
	a.Capabilities, a.Seccomp.Mode, a.NoNewPrivileges, a.UnprotectedPaths = ownCaps(t), poddir.SeccompUnconfined, false, true
	p := newPod(t, a)
	p.start().awaitReady()
	for range 30 {
		if out, code := p.enter(nil, "a", "/proc/self/exe", "true"); code == 0 && strings.Contains(out, "panic") {
			t.Errorf("enter: %q", out)
		}
		p.enter(nil, "a", "true")
	}
	p.enter(nil, "a", "touch", "/tmp/stop")
	if code := p.wait(); code != 0 || strings.Contains(p.stdout.String(), "written") {
		t.Errorf("exit status %d, stdout %q, stderr %q", code, p.stdout.String(), p.stderr.String())
	}
	if hash(t, exe) != before {
		t.Fatal("the host's program has been changed")
	}
}

// An image whose command is a link to /proc/self/exe runs our program, as the app and under its confinement;
// it finds nothing to do.
func TestCommandIsOurOwnProgram(t *testing.T) {
	layer := busybox(t)
	if err := os.Symlink("/proc/self/exe", layer+"/bin/evil"); err != nil {
		t.Fatal(err)
	}
	for _, argv := range [][]string{{"/proc/self/exe"}, {"/bin/evil", "supervise"}, {"evil", "init"}, {"evil", "enter", "/", "a", "-", "--", "sh"}} {
		a := app("a", layer, "")
		a.Argv = argv
		p := newPod(t, a).start()
		if code := p.wait(); code == 0 || strings.Contains(p.stderr.String(), "panic") {
			t.Errorf("%q: exit status %d, stderr %q", argv, code, p.stderr.String())
		}
	}
}

// With its own network the app sees only the namespace that was donated.
func TestNetworkNamespace(t *testing.T) {
	layer := busybox(t)
	made := make(chan *os.File)
	go func() {
		runtime.LockOSThread() // thrown away with its namespace
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Error(err)
			close(made)
			return
		}
		f, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			t.Error(err)
			close(made)
			return
		}
		made <- f
	}()
	ns := <-made
	if ns == nil {
		t.FailNow()
	}
	defer ns.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(ns.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	p := newPod(t, app("a", layer, "ls /sys/class/net; stat -Lc %i /proc/self/ns/net /proc/1/ns/net 2>/dev/null | head -1; exec sleep 1000"))
	p.netns, p.rt.Network.Mode, p.rt.Detached = ns, poddir.NetworkNone, true
	p.start().awaitReady()
	p.awaitLine("a", "lo")
	// The supervisor itself stays on the host's network, and so does what it becomes.
	host, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	pid := p.cmd.Process.Pid
	if got, _ := os.Readlink(procPath(pid, "ns/net")); got != host {
		t.Errorf("the supervisor's main thread is in %s, the host in %s", got, host)
	}
	var inside unix.Stat_t
	if err := unix.Stat(procPath(p.status("a").Pid, "ns/net"), &inside); err != nil || inside.Ino != st.Ino {
		t.Errorf("the app is in %d, %d was donated (%v)", inside.Ino, st.Ino, err)
	}
	b, err := os.ReadFile(p.dir + "/logs/a.log")
	if err != nil || !strings.HasPrefix(string(b), "lo\n") {
		t.Errorf("app sees %q %v", b, err)
	}
	p.signal(unix.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// `rkt finish` tears the host's side of the network down, so it must run on the host's network.
func TestFinishIsOnTheHostNetwork(t *testing.T) {
	layer := busybox(t)
	made := make(chan *os.File)
	go func() {
		runtime.LockOSThread()
		if unix.Unshare(unix.CLONE_NEWNET) == nil {
			if f, err := os.Open("/proc/thread-self/ns/net"); err == nil {
				made <- f
				return
			}
		}
		close(made)
	}()
	ns := <-made
	if ns == nil {
		t.Skip("no network namespaces")
	}
	defer ns.Close()
	host, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		p := newPod(t, app("a", layer, "true"))
		p.netns, p.rt.Network.Mode = ns, poddir.NetworkNone
		p.rt.Finish = []string{"/bin/sh", "-c", "readlink /proc/self/ns/net; echo $RKT_FDS"}
		p.start().wait()
		if got := p.stdout.String(); got != host+"\nlock:3,netns:4\n" {
			t.Fatalf("finish says %q, the host is %s", got, host)
		}
	}
}
