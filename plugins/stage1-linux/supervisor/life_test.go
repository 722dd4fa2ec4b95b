package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/plugins/stage1-linux/internal/linux"
	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/stage1"
)

// awaitReady blocks until every app runs and has said so in its log.
func (p *pod) awaitReady() *pod {
	p.t.Helper()
	p.await(poddir.ReadyFile)
	return p
}

func (p *pod) signal(sig unix.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

// awaitLine blocks until the detached app has printed the line.
func (p *pod) awaitLine(app, line string) {
	p.t.Helper()
	log := filepath.Join(p.dir, poddir.LogsDir, app+".log")
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(2 * time.Millisecond) {
		b, err := os.ReadFile(log)
		if err == nil && strings.Contains(string(b), line+"\n") {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%s never said %q but %q; stderr %s", app, line, b, p.stderr.String())
		}
	}
}

func TestStop(t *testing.T) {
	layer := busybox(t)
	const obey = "trap 'echo got TERM; exit 0' TERM; echo up; while :; do sleep 0.02; done"
	for _, tc := range []struct {
		name   string
		script string
		sig    string
		grace  int
		stop   func(p *pod)
		code   int
		status int
		said   string
	}{
		{"TERM obeyed", obey, "", 60, func(p *pod) { p.signal(unix.SIGTERM) }, 0, 0, "got TERM"},
		{"INT", obey, "", 60, func(p *pod) { p.signal(unix.SIGINT) }, 0, 0, "got TERM"},
		{"default action", "echo up; exec sleep 1000", "", 60, func(p *pod) { p.signal(unix.SIGTERM) }, 0, 143, "up"},
		{"own stop signal", "trap 'echo got INT; exit 0' INT; trap '' TERM; echo up; while :; do sleep 0.02; done", "INT", 60, func(p *pod) { p.signal(unix.SIGTERM) }, 0, 0, "got INT"},
		{"ignored", "trap '' TERM; echo up; while :; do sleep 0.02; done", "", 1, func(p *pod) { p.signal(unix.SIGTERM) }, 137, 137, "up"},
		{"second TERM is nothing", "trap 'sleep 0.3; echo done; exit 0' TERM; echo up; while :; do sleep 0.02; done", "", 60, func(p *pod) { p.signal(unix.SIGTERM); p.signal(unix.SIGTERM) }, 0, 0, "done"},
		{"fails while stopping", "trap 'exit 9' TERM; echo up; while :; do sleep 0.02; done", "", 60, func(p *pod) { p.signal(unix.SIGTERM) }, 9, 9, "up"},
		{"plugin", obey, "", 60, func(p *pod) { p.stop(stage1.StopRequest{}) }, 0, 0, "got TERM"},
		{"plugin, grace time", "trap '' TERM; echo up; while :; do sleep 0.02; done", "", 600, func(p *pod) { p.stop(stage1.StopRequest{Grace: time.Second}) }, 137, 137, "up"},
		{"plugin, force", "trap '' TERM; echo up; while :; do sleep 0.02; done", "", 600, func(p *pod) { p.stop(stage1.StopRequest{Force: true}) }, 137, 137, "up"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := app("a", layer, tc.script)
			a.StopSignal = tc.sig
			p := newPod(t, a)
			p.rt.Detached, p.rt.GraceSeconds = true, tc.grace
			p.start().awaitReady()
			p.awaitLine("a", "up")
			tc.stop(p)
			if code := p.wait(); code != tc.code {
				t.Errorf("exit status %d, want %d; stderr %s", code, tc.code, p.stderr.String())
			}
			if e := p.exit(); !e.Stopped {
				t.Errorf("exit file %s", dump(e))
			}
			if s := p.status("a"); s.Code != tc.status {
				t.Errorf("status %s", dump(s))
			}
			p.awaitLine("a", tc.said)
			if _, err := os.Lstat(filepath.Join(p.dir, poddir.ControlSock)); err == nil {
				t.Error("control socket is left")
			}
			p.stop(stage1.StopRequest{}) // a pod that has ended is a success
		})
	}
}

func (p *pod) stop(req stage1.StopRequest) {
	p.t.Helper()
	req.PodDir = p.dir
	if err := new(linux.Stage1).Stop(p.t.Context(), req); err != nil {
		p.t.Error(err)
	}
}

func TestForwardedSignals(t *testing.T) {
	layer := busybox(t)
	p := newPod(t, app("a", layer, "for s in HUP USR1 USR2 QUIT; do trap \"echo got $s\" $s; done; trap 'exit 0' TERM; echo up; while :; do sleep 0.02; done"))
	p.rt.Detached = true
	p.start().awaitReady()
	p.awaitLine("a", "up")
	for name, sig := range map[string]unix.Signal{"HUP": unix.SIGHUP, "USR1": unix.SIGUSR1, "USR2": unix.SIGUSR2, "QUIT": unix.SIGQUIT} {
		p.signal(sig)
		p.awaitLine("a", "got "+name)
	}
	p.signal(unix.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

func TestControlSocket(t *testing.T) {
	layer := busybox(t)
	p := newPod(t, app("a", layer, "exec sleep 1000"))
	p.start().awaitReady()
	// By the directory's descriptor: a pod's path may be longer than a socket address.
	dir, err := os.Open(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	path := fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), poddir.ControlSock)
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	for _, tc := range []struct{ line, reply string }{
		{`{"op":"dance"}`, `operation "dance" is unknown`},
		{`{"op":"stop","app":"a"}`, "whole pods"},
		{`{"op":"stop","graceSeconds":-1}`, "negative"},
		{`not json`, "parse request"},
		{`[]`, "parse request"},
		{strings.Repeat("x", 100<<10), ""},
	} {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(c, tc.line)
		b, _ := bufio.NewReader(c).ReadBytes('\n')
		c.Close()
		var r poddir.ControlReply
		if tc.reply == "" {
			if len(b) > 0 {
				t.Errorf("endless request is answered %q", b)
			}
			continue
		}
		if err := json.Unmarshal(b, &r); err != nil || r.OK || !strings.Contains(r.Error, tc.reply) {
			t.Errorf("%s: %q", tc.line, b)
		}
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// Two requests on one connection, in pieces.
	io.WriteString(c, "{\"op\":\"x\"}\n{\"op\":")
	io.WriteString(c, "\"stop\",\"graceSeconds\":30}\n")
	b, err := io.ReadAll(c)
	if err != nil || !bytes.HasSuffix(b, []byte("{\"ok\":true}\n")) {
		t.Errorf("replies %q, %v", b, err)
	}
	if code := p.wait(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

func TestNotify(t *testing.T) {
	layer := busybox(t)
	for _, name := range []string{filepath.Join(t.TempDir(), "notify"), fmt.Sprintf("@rkt-test-%d", os.Getpid())} {
		c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		p := newPod(t, app("a", layer, "[ -z \"$NOTIFY_SOCKET\" ] && sleep 0.1"))
		p.env = []string{"NOTIFY_SOCKET=" + name}
		p.start()
		var got []string
		buf := make([]byte, 4096)
		for len(got) < 2 {
			if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			n, err := c.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(buf[:n]))
		}
		if code := p.wait(); code != 0 {
			t.Errorf("exit status %d", code)
		}
		if !strings.HasPrefix(got[0], "READY=1\n") || !strings.HasPrefix(got[1], "STOPPING=1") {
			t.Errorf("messages %q", got)
		}
	}
}

// hostMounts is what the host sees, less what other tests of the machine do meanwhile.
func hostMounts(t *testing.T) map[string]bool {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		m[line] = true
	}
	return m
}

// descendants returns the processes below pid, by following the kernel's children files.
func descendants(pid int) []int {
	var out []int
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, f := range tasks {
		b, _ := os.ReadFile(f)
		for _, s := range strings.Fields(string(b)) {
			n, err := strconv.Atoi(s)
			if err == nil {
				out = append(append(out, n), descendants(n)...)
			}
		}
	}
	return out
}

func TestKilledSupervisorLeavesNothing(t *testing.T) {
	layer := busybox(t)
	host := t.TempDir()
	before := hostMounts(t)
	a := app("a", layer, "sleep 1000 & setsid sleep 1000 & wait")
	a.Mounts = []poddir.Mount{{Volume: "v", Target: "/data"}}
	p := newPod(t, a, app("b", layer, "sleep 1000"))
	p.pod.Volumes = []poddir.Volume{{Name: "v", Kind: poddir.VolumeHost, Source: host, Recursive: true}}
	p.start().awaitReady()
	for line := range hostMounts(t) {
		if !before[line] && (strings.Contains(line, filepath.Base(p.dir)) || strings.Contains(line, host)) {
			t.Errorf("the pod's mount is in the host's namespace: %s", line)
		}
	}
	var pidfds []int
	for _, pid := range descendants(p.cmd.Process.Pid) {
		if fd, err := unix.PidfdOpen(pid, 0); err == nil {
			pidfds = append(pidfds, fd)
			defer unix.Close(fd)
		}
	}
	if len(pidfds) < 4 {
		t.Fatalf("%d processes", len(pidfds))
	}
	p.signal(unix.SIGKILL)
	p.cmd.Wait()
	for _, fd := range pidfds {
		// Readable when the process has ended.
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 60_000)
		if n != 1 || err != nil {
			t.Errorf("a process of the pod outlives its supervisor: %d %v", n, err)
		}
	}
	// The lock is free: the state that the next rkt sees.
	lock, err := os.Open(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Errorf("lock: %v", err)
	}
	if err := os.RemoveAll(p.dir); err != nil {
		t.Errorf("remove pod directory: %v", err)
	}
}

func TestKilledPidOne(t *testing.T) {
	layer := busybox(t)
	p := newPod(t, app("a", layer, "exec sleep 1000"))
	p.start().awaitReady()
	init := descendants(p.cmd.Process.Pid)[0]
	if err := unix.Kill(init, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if code := p.wait(); code != 137 {
		t.Errorf("exit status %d, want 137; stderr %q", code, p.stderr.String())
	}
	if s := p.status("a"); s.State != poddir.AppExited || s.Code != 137 {
		t.Errorf("status %s", dump(s))
	}
}

// At the end the supervisor becomes `rkt finish`, with the lock still held.
func TestFinish(t *testing.T) {
	layer := busybox(t)
	p := newPod(t, app("a", layer, "exit 3"))
	script := filepath.Join(t.TempDir(), "finish")
	write(t, filepath.Dir(script), "finish", `#!/bin/sh
echo "finish $* fds=$RKT_FDS"
[ -e exit ] && echo "exit file there"
fd=${RKT_FDS#lock:}
[ "$(stat -Lc %i /proc/self/fd/$fd)" = "$(stat -c %i .)" ] && echo "lock kept"
exit 42
`, 0o755)
	p.rt.Finish = []string{script, "finish", "--status", "x"}
	if code := p.start().wait(); code != 42 {
		t.Errorf("exit status %d", code)
	}
	if got, want := p.stdout.String(), "finish finish --status x fds=lock:3\nexit file there\nlock kept\n"; got != want {
		t.Errorf("output %q, want %q", got, want)
	}
	// The package was removed meanwhile.
	p = newPod(t, app("a", layer, "exit 3"))
	p.rt.Finish = []string{script + "-gone", "finish"}
	if code := p.start().wait(); code != 3 || !strings.Contains(p.stderr.String(), "rkt gc") {
		t.Errorf("exit status %d, stderr %q", code, p.stderr.String())
	}
}

func TestNotStartedByRkt(t *testing.T) {
	busybox(t)
	p := newPod(t)
	exe, err := built()
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"supervise"}, {"init"}, {"enter"}, {}} {
		out, err := runHost(exe, args...)
		if err == nil || strings.Contains(out, "panic") {
			t.Errorf("%q: %v %s", args, err, out)
		}
	}
	_ = p
}

func procPath(pid int, name string) string { return fmt.Sprintf("/proc/%d/%s", pid, name) }
