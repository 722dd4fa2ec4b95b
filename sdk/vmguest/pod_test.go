package vmguest_test

import (
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/vmguest/agent"
)

// TestPod is a whole pod in one boot: boots are what takes time.
func TestPod(t *testing.T) {
	need(t, "qemu-system-x86_64", "mkfs.erofs", "mke2fs")
	k := findKernel(t)
	args := slices.Concat(disk("layer0", layer(t), true), disk("rw", upper(t), false),
		[]string{"-netdev", "hubport,id=n0,hubid=0", "-device", "virtio-net-pci,netdev=n0,mac=02:00:00:00:00:07"})
	v := boot(t, k, nil, args...)
	set := time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)
	if err := v.SetTime(v.ctx(), set); err != nil {
		t.Fatal(err)
	}

	probe := app("probe", `env; id; grep -E '^(Cap|Seccomp:|NoNewPrivs)' /proc/self/status; hostname; cat /etc/resolv.conf
ip -o addr; ip route; ip -6 route; ip link show dev eth5; date -u +%Y-%m; ulimit -n; ulimit -Hn
cat /sys/fs/cgroup/pids.max; echo to-stderr >&2; touch /written; echo shared > /vol/file
mount -t tmpfs none /tmp 2>/dev/null || echo mount refused; echo $$; exit 7`)
	probe.User, probe.Group = "app", "app"
	probe.Mounts = []poddir.Mount{{Volume: "empty", Target: "/vol"}}
	stay := app("stay", `trap 'echo got usr1; exit 3' USR1; until [ -s /vol/file ]; do sleep 0.1; done; echo ready; while :; do sleep 0.1; done`)
	stay.Mounts = probe.Mounts
	hog := app("hog", `exec dd if=/dev/zero of=/dev/null bs=100M count=1`)
	hog.Resources.MemoryBytes = 20 << 20
	echo := app("echo", `cat; echo merged >&2; echo end of input`)
	echo.Stdin = poddir.StdinStream
	term := app("term", `stty size; trap 'stty size; exit 5' WINCH; tty; echo ready; while :; do sleep 0.1; done`)
	term.Stdin = poddir.StdinTTY
	missing := app("missing", "")
	missing.Argv = []string{"/no/such/program"}

	spec := podSpec(probe, stay, hog, echo, term, missing)
	spec.Pod.Volumes = []poddir.Volume{{Name: "empty", Kind: poddir.VolumeEmpty, Mode: 0o777}}
	spec.Volumes = []agent.Volume{{Name: "empty", Kind: agent.VolumeEmpty}}
	spec.Streams = map[string]agent.Streams{"echo": {Merge: true}, "term": {Size: agent.Size{Rows: 33, Cols: 111}}}
	spec.Interfaces = []agent.Interface{{
		MAC: "02:00:00:00:00:07", Name: "eth5", MTU: 1400,
		Addresses: []string{"198.51.100.7/32", "2001:db8::7/128"},
		Routes: []poddir.Route{
			{Destination: "198.51.100.1/32"}, {Destination: "0.0.0.0/0", Gateway: "198.51.100.1"},
			{Destination: "2001:db8::1/128"}, {Destination: "::/0", Gateway: "2001:db8::1"},
		},
	}}
	in, err := v.OpenStream("echo", agent.Stdin)
	if err != nil {
		t.Fatal(err)
	}
	v.start(spec)
	began := time.Now()
	v.next(agent.EventStarted)
	t.Logf("first app runs %v after its birth", time.Since(began).Round(time.Millisecond))

	v.await("stay", "ready")
	v.await("term", "ready")
	t.Run("stats", func(t *testing.T) { stats(t, v) })
	t.Run("enter", func(t *testing.T) { enter(t, v) })
	t.Run("enter with a terminal", func(t *testing.T) { enterTerminal(t, v) })
	t.Run("clock", func(t *testing.T) { clock(t, v, set) })
	t.Run("stdin", func(t *testing.T) {
		if _, err := io.WriteString(in, "hello echo\n"); err != nil {
			t.Fatal(err)
		}
		v.await("echo", "hello echo\n")
		in.Close()
		v.await("echo", "merged\nend of input\n")
	})
	t.Run("resize", func(t *testing.T) {
		if err := v.Resize(v.ctx(), agent.Target{App: "term"}, agent.Size{Rows: 44, Cols: 55}); err != nil {
			t.Fatal(err)
		}
		v.await("term", "44 55")
		if out := v.output("term"); !strings.Contains(out, "33 111") || !strings.Contains(out, "/dev/pts/0") {
			t.Errorf("term wrote %q", out)
		}
	})
	if err := v.Signal(v.ctx(), agent.Target{App: "stay"}, int(unix.SIGUSR1)); err != nil {
		t.Error(err)
	}

	ends := v.exits(6)
	for name, want := range map[string]agent.Event{
		"probe": {Code: 7}, "stay": {Code: 3}, "hog": {Signal: 9, OOM: true}, "echo": {}, "term": {Code: 5}, "missing": {Code: 127},
	} {
		e := ends[name]
		if e.Code != want.Code || e.Signal != want.Signal || e.OOM != want.OOM || (e.Reason != "") != (name == "missing") {
			t.Errorf("%s ended with %+v, want %+v", name, e, want)
		}
	}
	v.down()
	if t.Failed() {
		t.Logf("probe wrote %s", v.output("probe"))
	}
	looked(t, v)
}

// looked judges what the first app has seen.
func looked(t *testing.T, v *vm) {
	t.Helper()
	out := v.output("probe")
	for _, want := range []string{
		"COLOUR=green\n", "uid=1000(app) gid=1000(app)", "CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "CapBnd:\t00000000a80425fb",
		"Seccomp:\t2", "NoNewPrivs:\t1", "pod-in-vm\n", "nameserver 192.0.2.53\n",
		"inet 127.0.0.1/8", "inet6 ::1/128", "eth5    inet 198.51.100.7/32", "eth5    inet6 2001:db8::7/128",
		"default via 198.51.100.1 dev eth5", "198.51.100.1 dev eth5 scope link", "default via 2001:db8::1 dev eth5",
		"mtu 1400", "02:00:00:00:00:07", "2031-02\n", "\n1000\n2000\n", "\n2048\n", "mount refused\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in what probe wrote", want)
		}
	}
	if t.Failed() {
		t.Logf("probe wrote %s", out)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if got := v.outputs["probe/stderr"].String(); !strings.Contains(got, "to-stderr\n") {
		t.Errorf("stderr of probe is %q", got)
	}
}

func stats(t *testing.T, v *vm) {
	s, err := v.Stats(v.ctx())
	if err != nil || len(s) != 6 {
		t.Fatalf("%+v, %v", s, err)
	}
	i := slices.IndexFunc(s, func(a agent.AppStats) bool { return a.App == "stay" })
	if a := s[i]; a.MemoryBytes == 0 || a.CPUNanoseconds == 0 || a.Pids == 0 {
		t.Errorf("%+v", a)
	}
}

// clock sets it while apps run.
func clock(t *testing.T, v *vm, set time.Time) {
	want := set.AddDate(0, 3, 0)
	if err := v.SetTime(v.ctx(), want); err != nil {
		t.Fatal(err)
	}
	p, err := v.Enter(v.ctx(), agent.EnterSpec{App: "stay", Command: []string{"date", "-u", "+%s"}})
	if err != nil {
		t.Fatal(err)
	}
	out, _ := io.ReadAll(p.Stdout)
	n, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	if now := time.Unix(n, 0); err != nil || now.Before(want) || now.After(want.Add(bootTime)) {
		t.Errorf("it is %v, was set to %v", now, want)
	}
}

func enter(t *testing.T, v *vm) {
	p, err := v.Enter(v.ctx(), agent.EnterSpec{App: "stay", Command: []string{"sh", "-c", `cat; id -u; hostname; cat /vol/file; grep Seccomp: /proc/self/status; echo problem >&2; exit 9`}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(p.Stdin, "typed\n"); err != nil {
		t.Error(err)
	}
	p.Stdin.Close()
	out, err := io.ReadAll(p.Stdout)
	if err != nil || string(out) != "typed\n0\npod-in-vm\nshared\nSeccomp:\t2\n" {
		t.Errorf("stdout is %q, %v", out, err)
	}
	if out, err := io.ReadAll(p.Stderr); err != nil || string(out) != "problem\n" {
		t.Errorf("stderr is %q, %v", out, err)
	}
	if e, err := p.Wait(v.ctx()); err != nil || e.Code != 9 {
		t.Errorf("%+v, %v", e, err)
	}
	p, err = v.Enter(v.ctx(), agent.EnterSpec{App: "stay", Command: []string{"sh", "-c", `trap 'exit 6' TERM; echo up; while :; do sleep 0.1; done`}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(p.Stdout, make([]byte, 3)); err != nil {
		t.Error(err)
	}
	if err := p.Signal(v.ctx(), int(unix.SIGTERM)); err != nil {
		t.Error(err)
	}
	if e, err := p.Wait(v.ctx()); err != nil || e.Code != 6 {
		t.Errorf("after SIGTERM: %+v, %v", e, err)
	}
	if _, err := v.Enter(v.ctx(), agent.EnterSpec{App: "nobody"}); err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("enter nobody: %v", err)
	}
}

func enterTerminal(t *testing.T, v *vm) {
	p, err := v.Enter(v.ctx(), agent.EnterSpec{App: "stay", TTY: true, Term: "vt100", Size: agent.Size{Rows: 20, Cols: 70}})
	if err != nil {
		t.Fatal(err)
	}
	var out syncBuffer
	copied := make(chan struct{})
	go func() { _, _ = io.Copy(&out, p.Stdout); close(copied) }()
	expect := func(want string) {
		t.Helper()
		for end := time.Now().Add(bootTime); !strings.Contains(out.String(), want); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("no %q in %q", want, out.String())
			}
		}
	}
	_, _ = io.WriteString(p.Stdin, "stty size; echo term is $TERM\n")
	expect("20 70")
	expect("term is vt100")
	if err := p.Resize(v.ctx(), agent.Size{Rows: 21, Cols: 71}); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(p.Stdin, "until [ \"$(stty size)\" = '21 71' ]; do sleep 0.1; done; echo resi''zed\n")
	expect("resized")
	_, _ = io.WriteString(p.Stdin, "exit 4\n")
	if e, err := p.Wait(v.ctx()); err != nil || e.Code != 4 {
		t.Errorf("%+v, %v", e, err)
	}
	<-copied
}

// TestChannelLost: a guest whose host is gone is off at once.
func TestChannelLost(t *testing.T) {
	need(t, "qemu-system-x86_64", "mkfs.erofs")
	v := boot(t, findKernel(t), nil, disk("layer0", layer(t), true)...)
	spec := podSpec(app("stay", `echo ready; while :; do sleep 1; done`))
	spec.Upper = nil
	v.start(spec)
	v.await("stay", "ready")
	began := time.Now()
	v.Close()
	v.over()
	t.Logf("QEMU ended %v after the channel", time.Since(began).Round(time.Millisecond))
}

// TestTerminalChannel: the channel is a terminal device, for a VMM that has nothing better.
func TestTerminalChannel(t *testing.T) {
	need(t, "qemu-system-x86_64", "mkfs.erofs")
	v := bootOn(t, findKernel(t), nil, "rkt.ctl=tty:hvc0 rkt.off=reboot", "virtconsole,chardev=ctl", disk("layer0", layer(t), true)...)
	a := app("a", `head -c 300000 /dev/urandom | tee /x | wc -c; cat /x >&2`)
	spec := podSpec(a)
	spec.Upper = nil
	v.start(spec)
	v.exits(1)
	v.down()
	if out, raw := v.output("a"), v.outputs["a/stderr"].String(); out != "300000\n" || len(raw) != 300000 {
		t.Errorf("%q, %d bytes", out, len(raw))
	}
}
