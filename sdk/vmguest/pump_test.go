package vmguest

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/sdk/linuxpod/tty"
	"github.com/rkt/rkt/v2/sdk/vmguest/agent"
)

// desk is a guest that has nothing but streams.
type desk struct{ hub hub }

func (d *desk) Hello() agent.Hello                                           { return agent.Hello{} }
func (d *desk) Start(context.Context, *agent.PodSpec, *agent.Reporter) error { return nil }
func (d *desk) Signal(agent.Target, int) error                               { return nil }
func (d *desk) Kill(context.Context) error                                   { return nil }
func (d *desk) Stream(h agent.Header, s *agent.Stream)                       { d.hub.offer(key{h.Target, h.FD}, s) }

func connect(t *testing.T) (*desk, *agent.Client) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	d := new(desk)
	go func() { _ = agent.Serve(t.Context(), os.NewFile(uintptr(fds[0]), "guest"), d) }()
	c, err := agent.Dial(t.Context(), os.NewFile(uintptr(fds[1]), "host"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return d, c
}

// pipeOf makes one stream of a program; the test has the program's end.
func pipeOf(t *testing.T, s *stdio, fd agent.FD) *os.File {
	t.Helper()
	n, err := s.pipe(fd)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(n), "program's "+string(fd))
	t.Cleanup(func() { f.Close() })
	return f
}

func open(t *testing.T, c *agent.Client, fd agent.FD) *agent.Stream {
	t.Helper()
	s, err := c.OpenStream("a", fd)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOutputWaitsForItsStream(t *testing.T) {
	d, c := connect(t)
	s := newStdio(&d.hub, agent.Target{App: "a"})
	w := pipeOf(t, s, agent.Stdout)
	if _, err := w.WriteString("early\n"); err != nil {
		t.Fatal(err)
	}
	w.Close() // the program has ended before the host came
	out := open(t, c, agent.Stdout)
	if b, err := io.ReadAll(out); err != nil || string(b) != "early\n" {
		t.Errorf("%q, %v", b, err)
	}
	s.finish()
}

// A host that reads no more is to the program what it would be on the host.
func TestAbandonedOutput(t *testing.T) {
	d, c := connect(t)
	s := newStdio(&d.hub, agent.Target{App: "a"})
	w := pipeOf(t, s, agent.Stdout)
	open(t, c, agent.Stdout).Close()
	var err error
	for range 1 << 20 {
		if _, err = w.WriteString(strings.Repeat("x", 4096)); err != nil {
			break
		}
	}
	if !errors.Is(err, unix.EPIPE) {
		t.Errorf("%v", err)
	}
}

func TestInput(t *testing.T) {
	d, c := connect(t)
	s := newStdio(&d.hub, agent.Target{App: "a"})
	r := pipeOf(t, s, agent.Stdin)
	in := open(t, c, agent.Stdin)
	if _, err := in.Write([]byte("typed\n")); err != nil {
		t.Fatal(err)
	}
	in.Close()
	if b, err := io.ReadAll(r); err != nil || string(b) != "typed\n" {
		t.Errorf("%q, %v", b, err)
	}
	// A program that reads no more.
	s = newStdio(&d.hub, agent.Target{App: "b"})
	r = pipeOf(t, s, agent.Stdin)
	r.Close()
	in2, err := c.OpenStream("b", agent.Stdin)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in2.Write([]byte("typed\n")); err != nil {
		t.Fatal(err)
	}
	in2.Abandoned()
}

// What nobody has asked for does not hold up the end.
func TestFinishWithoutStreams(t *testing.T) {
	d, _ := connect(t)
	s := newStdio(&d.hub, agent.Target{App: "a"})
	out, in := pipeOf(t, s, agent.Stdout), pipeOf(t, s, agent.Stdin)
	if _, err := out.WriteString("unread"); err != nil {
		t.Fatal(err)
	}
	out.Close()
	s.finish()
	s.finish()
	if b, err := io.ReadAll(in); err != nil || len(b) != 0 {
		t.Errorf("%q, %v", b, err)
	}
	if len(d.hub.slots) != 0 {
		t.Errorf("%v are remembered", d.hub.slots)
	}
}

func TestTerminal(t *testing.T) {
	d, c := connect(t)
	pts, err := unix.Open("/dev/pts", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skip(err)
	}
	defer unix.Close(pts)
	master, slave, _, err := tty.Open(pts)
	if err != nil {
		t.Skip(err)
	}
	s := newStdio(&d.hub, agent.Target{App: "a"})
	if err := s.terminal(master); err != nil {
		t.Fatal(err)
	}
	program := os.NewFile(uintptr(slave), "slave")
	defer program.Close()
	in, out := open(t, c, agent.Stdin), open(t, c, agent.Stdout)
	if err := s.resize(agent.Size{Rows: 5, Cols: 6}); err != nil {
		t.Error(err)
	}
	if ws, err := unix.IoctlGetWinsize(slave, unix.TIOCGWINSZ); err != nil || ws.Row != 5 || ws.Col != 6 {
		t.Errorf("%+v, %v", ws, err)
	}
	if _, err := in.Write([]byte("line\n")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	if n, err := program.Read(b); err != nil || string(b[:n]) != "line\n" {
		t.Errorf("%q, %v", b[:n], err)
	}
	in.Close() // Ctrl-D
	if n, err := program.Read(b); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("%q, %v", b[:n], err)
	}
	if _, err := program.WriteString("bye\n"); err != nil {
		t.Fatal(err)
	}
	program.Close()
	got, err := io.ReadAll(out)
	if err != nil || !strings.HasSuffix(string(got), "bye\r\n") {
		t.Errorf("%q, %v", got, err)
	}
	s.finish()
	if err := s.resize(agent.Size{}); err == nil {
		t.Error("resized what is gone")
	}
}
