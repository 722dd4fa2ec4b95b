package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/rkt/rkt/v2/plugins/stage1-linux/internal/linux"
	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/stage1"
)

func runHost(exe string, args ...string) (string, error) {
	out, err := exec.Command(exe, args...).CombinedOutput()
	return string(out), err
}

func TestStdin(t *testing.T) {
	layer := busybox(t)
	for _, tc := range []struct {
		kind poddir.Stdin
		want string
	}{{"", "0\n"}, {poddir.StdinNull, "0\n"}, {poddir.StdinStream, "7\n"}} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, "1234567")
		w.Close()
		a := app("a", layer, "wc -c")
		a.Stdin = tc.kind
		p := newPod(t, a)
		p.stdin = r
		code := p.start().wait()
		r.Close()
		if code != 0 || p.stdout.String() != tc.want {
			t.Errorf("stdin %q: exit status %d, output %q", tc.kind, code, p.stdout.String())
		}
	}
}

func TestStreams(t *testing.T) {
	layer := busybox(t)
	p := newPod(t, app("a", layer, "echo out; echo err >&2")).start()
	p.wait()
	// The supervisor's own warnings come on stderr, too, before the app's line or after it.
	if p.stdout.String() != "out\n" || !slices.Contains(strings.Split(p.stderr.String(), "\n"), "err") {
		t.Errorf("stdout %q, stderr %q", p.stdout.String(), p.stderr.String())
	}
	p = newPod(t, app("a", layer, "echo out; echo err >&2"))
	p.rt.Detached = true
	p.start().wait()
	b, err := os.ReadFile(p.dir + "/logs/a.log")
	if err != nil || string(b) != "out\nerr\n" || p.stdout.Len() > 0 {
		t.Errorf("log %q %v, stdout %q", b, err, p.stdout.String())
	}
}

// screen is what a terminal has shown.
type screen struct {
	mu  sync.Mutex
	buf bytes.Buffer
	tty *os.File
}

func newScreen(t *testing.T) (*screen, *os.File) {
	t.Helper()
	ptmx, tty, err := pty.Open()
	if err != nil {
		t.Skipf("no terminal: %v", err)
	}
	t.Cleanup(func() { ptmx.Close(); tty.Close() })
	if err := pty.Setsize(ptmx, &pty.Winsize{Rows: 33, Cols: 101}); err != nil {
		t.Fatal(err)
	}
	s := &screen{tty: ptmx}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := ptmx.Read(buf)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.buf.Write(buf[:n])
			s.mu.Unlock()
		}
	}()
	return s, tty
}

func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

func (s *screen) await(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(s.text(), text); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("terminal never showed %q but %q", text, s.text())
		}
	}
}

func TestTerminal(t *testing.T) {
	layer := busybox(t)
	s, tty := newScreen(t)
	before, err := runTTY(tty, "stty", "-g")
	if err != nil {
		t.Fatal(err)
	}
	a := app("a", layer, `trap 'echo INTR' INT; echo tty=$(tty) term=$TERM size=$(stty size); [ -t 1 ] && [ -c /dev/console ] && echo isatty; read x; echo "read $x"; read y; until [ "$(stty size)" = '20 40' ]; do sleep 0.02; done; echo "size=$(stty size)"; read z; exit 6`)
	a.Stdin = poddir.StdinTTY
	p := newPod(t, a)
	p.stdin, p.env = tty, []string{"TERM=vt220"}
	p.prepare()
	p.launchOn(tty)
	s.await(t, "isatty")
	if !strings.Contains(s.text(), "tty=/dev/pts/0") || !strings.Contains(s.text(), "size=33 101") {
		t.Errorf("terminal shows %q", s.text())
	}
	io.WriteString(s.tty, "hello\r")
	s.await(t, "read hello")
	if err := pty.Setsize(s.tty, &pty.Winsize{Rows: 20, Cols: 40}); err != nil {
		t.Fatal(err)
	}
	io.WriteString(s.tty, "\x03") // Ctrl-C is the app's
	s.await(t, "INTR")
	io.WriteString(s.tty, "\r")
	s.await(t, "size=20 40")
	io.WriteString(s.tty, "\r")
	if code := p.wait(); code != 6 {
		t.Errorf("exit status %d; %s", code, s.text())
	}
	after, err := runTTY(tty, "stty", "-g")
	if err != nil || before != after {
		t.Errorf("terminal is left as %q, was %q (%v)", after, before, err)
	}
}

func runTTY(tty *os.File, argv ...string) (string, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin = tty
	out, err := cmd.Output()
	return string(out), err
}

// enter runs `enter` as core becomes it.
func (p *pod) enter(tty *os.File, app string, argv ...string) (string, int) {
	p.t.Helper()
	ep, err := new(linux.Stage1).Enter(p.t.Context(), stage1.EnterRequest{PodDir: p.dir, App: app, Command: argv, TTY: tty != nil})
	if err != nil {
		p.t.Fatal(err)
	}
	exe, err := built()
	if err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.Command(exe, ep.Args...)
	cmd.Env = []string{"TERM=vt220", "LEAK=from-the-caller"}
	if tty != nil {
		cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
		err := cmd.Run()
		return fmt.Sprint(err), cmd.ProcessState.ExitCode()
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	_ = cmd.Run()
	return out.String(), cmd.ProcessState.ExitCode()
}

func TestEnter(t *testing.T) {
	layer := busybox(t)
	a := app("a", layer, "exec sleep 1000")
	a.User, a.Env, a.Dir = "app", []string{"PATH=/bin", "FOO=bar"}, "/srv"
	p := newPod(t, a, app("b", layer, "exec sleep 1000"))
	p.start().awaitReady()

	t.Run("same confinement", func(t *testing.T) {
		out, code := p.enter(nil, "a", "cat", "/proc/self/status")
		got := fields(out)
		for k, v := range map[string]string{
			"CapBnd": "00000000a80425fb", "CapEff": "00000000a80425fb", "CapPrm": "00000000a80425fb", "CapInh": "0000000000000000",
			"CapAmb": "0000000000000000", "NoNewPrivs": "1", "Seccomp": "2", "Uid": "0\t0\t0\t0", "Gid": "0\t0\t0\t0",
		} {
			if got[k] != v {
				t.Errorf("%s is %q, want %q", k, got[k], v)
			}
		}
		if code != 0 {
			t.Errorf("exit status %d: %s", code, out)
		}
	})
	t.Run("namespaces", func(t *testing.T) {
		// Its cgroup namespace is another one with the same root: see enter.
		for _, n := range []string{"mnt", "pid", "ipc", "uts", "net"} {
			want, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", p.status("a").Pid, n))
			if err != nil {
				t.Fatal(err)
			}
			if out, _ := p.enter(nil, "a", "readlink", "/proc/self/ns/"+n); out != want+"\n" {
				t.Errorf("%s is %q, want %q", n, out, want)
			}
		}
	})
	t.Run("surroundings", func(t *testing.T) {
		out, code := p.enter(nil, "a", "sh", "-c", "echo $FOO $AC_APP_NAME [$LEAK] $(pwd); ls /proc/self/fd; exit 5")
		if want := "bar a [] /srv\n0\n1\n2\n3\n"; out != want || code != 5 {
			t.Errorf("output %q, exit status %d", out, code)
		}
	})
	t.Run("shell", func(t *testing.T) {
		if out, code := p.enter(nil, "b"); code != 0 {
			t.Errorf("output %q, exit status %d", out, code)
		}
	})
	t.Run("missing command", func(t *testing.T) {
		if out, code := p.enter(nil, "a", "nope"); code != 127 || !strings.Contains(out, "not in the image's PATH") {
			t.Errorf("output %q, exit status %d", out, code)
		}
	})
	t.Run("cannot be looked into", func(t *testing.T) {
		out, _ := p.enter(nil, "a", "sh", "-c", "readlink /proc/1/exe; cat /proc/1/environ; kill -9 1; echo alive")
		if !strings.HasSuffix(out, "alive\n") || strings.Contains(out, "rkt-stage1") {
			t.Errorf("output %q", out)
		}
	})
	t.Run("terminal", func(t *testing.T) {
		s, tty := newScreen(t)
		_, code := p.enter(tty, "a", "sh", "-c", "echo tty=$(tty) term=$TERM size=$(stty size); exit 7")
		s.await(t, "size=33 101")
		if code != 7 || !strings.Contains(s.text(), "tty=/dev/pts/0 term=vt220") {
			t.Errorf("exit status %d, terminal %q", code, s.text())
		}
	})
	p.cmd.Process.Signal(os.Interrupt)
	p.wait()
	if _, err := new(linux.Stage1).Enter(t.Context(), stage1.EnterRequest{PodDir: p.dir, App: "a"}); err == nil {
		t.Error("enter of a pod that has ended is planned")
	}
	exe, _ := built()
	if out, err := runHost(exe, "enter", p.dir, "a", "-", "--", "true"); err == nil || !strings.Contains(out, "not running") {
		t.Errorf("enter of a pod that has ended: %v %q", err, out)
	}
}
