package agent

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// fake is a guest whose one app echoes stdin to stdout.
type fake struct {
	mu      sync.Mutex
	spec    *PodSpec
	signals []int
	sizes   []Size
	clock   time.Time
	off     chan bool
	streams chan *Stream
	stdin   chan *Stream
}

func newFake() *fake {
	return &fake{off: make(chan bool, 1), streams: make(chan *Stream, 8), stdin: make(chan *Stream, 8)}
}

func (f *fake) Hello() Hello { return Hello{Build: "test", Kernel: "6.1"} }

func (f *fake) Start(_ context.Context, spec *PodSpec, r *Reporter) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.spec != nil {
		return Refuse(CodeState, "pod has been started")
	}
	f.spec = spec
	for _, a := range spec.Pod.Apps {
		r.Report(Event{Kind: EventStarted, App: a.Name, Pid: 7})
	}
	r.Report(Event{Kind: EventUp})
	return nil
}

func (f *fake) Signal(t Target, sig int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t.App != "a" {
		return Refuse(CodeNotFound, "no app %q", t.App)
	}
	f.signals = append(f.signals, sig)
	return nil
}
func (f *fake) Kill(context.Context) error { return nil }
func (f *fake) Stream(h Header, s *Stream) {
	switch {
	case h.FD == Stdin:
		f.stdin <- s
	default:
		f.streams <- s
	}
}
func (f *fake) Resize(_ Target, s Size) error { f.sizes = append(f.sizes, s); return nil }
func (f *fake) SetTime(t time.Time) error     { f.clock = t; return nil }
func (f *fake) PowerOff(reboot bool)          { f.off <- reboot }
func (f *fake) Stats() ([]AppStats, error) {
	return []AppStats{{App: "a", Pids: 2}, {App: "evil"}}, nil
}
func (f *fake) Update(app string, r poddir.Resources) error {
	if app != "a" || r != (poddir.Resources{MemoryBytes: 5, CPUShares: 6}) {
		return Refuse(CodeBusy, "%s has more than %d", app, r.MemoryBytes)
	}
	return nil
}
func (f *fake) Enter(e EnterSpec, r *Reporter) (uint64, error) {
	r.Report(Event{Kind: EventExited, Process: 9, Code: len(e.Command)})
	return 9, nil
}

// channel makes the two ends of a byte channel.
func channel(t *testing.T) (host, guest io.ReadWriteCloser) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	h, g := os.NewFile(uintptr(fds[0]), "host"), os.NewFile(uintptr(fds[1]), "guest")
	t.Cleanup(func() { h.Close(); g.Close() })
	return h, g
}

func podSpec() *PodSpec {
	return &PodSpec{Pod: poddir.Pod{Apps: []poddir.App{{Name: "a", Argv: []string{"/a"}}}}}
}

func connect(t *testing.T, g Guest) (*Client, chan error) {
	t.Helper()
	h, c := channel(t)
	served := make(chan error, 1)
	go func() { served <- Serve(t.Context(), c, g) }()
	client, err := Dial(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client, served
}

func TestLife(t *testing.T) {
	f := newFake()
	c, served := connect(t, f)
	ctx := t.Context()
	if h := c.Hello(); h.Build != "test" || h.Protocol != Protocol || strings.Join(h.Ops, " ") != "hello start signal kill resize enter stats update set-time power-off" {
		t.Errorf("%+v", h)
	}
	if err := c.SetTime(ctx, time.Unix(7, 8)); err != nil || f.clock.UnixNano() != 7e9+8 {
		t.Errorf("%v %v", f.clock, err)
	}
	if err := c.Start(ctx, podSpec()); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(ctx, podSpec()); !errors.Is(err, &Error{Code: CodeState}) {
		t.Errorf("second start: %v", err)
	}
	if e := <-c.Events(); e.Kind != EventStarted || e.App != "a" || e.Pid != 7 {
		t.Errorf("%+v", e)
	}
	if e := <-c.Events(); e.Kind != EventUp {
		t.Errorf("%+v", e)
	}
	if err := c.Signal(ctx, Target{App: "a"}, 15); err != nil || len(f.signals) != 1 {
		t.Error(err)
	}
	if err := c.Signal(ctx, Target{App: "b"}, 15); !errors.Is(err, &Error{Code: CodeNotFound}) {
		t.Errorf("signal to nobody: %v", err)
	}
	if err := c.Signal(ctx, Target{App: "a"}, 77); !errors.Is(err, &Error{Code: CodeBadRequest}) {
		t.Errorf("signal 77: %v", err)
	}
	if err := c.call(ctx, "levitate", nil, nil); !errors.Is(err, &Error{Code: CodeUnknown}) {
		t.Errorf("unknown operation: %v", err)
	}
	if s, err := c.Stats(ctx); err != nil || len(s) != 1 || s[0].Pids != 2 {
		t.Errorf("%+v, %v: an app that is not the pod's must not show", s, err)
	}
	if err := c.Resize(ctx, Target{App: "a"}, Size{Rows: 3, Cols: 4}); err != nil || f.sizes[0] != (Size{3, 4}) {
		t.Errorf("%v %v", f.sizes, err)
	}
	if err := c.Update(ctx, "a", poddir.Resources{MemoryBytes: 5, CPUShares: 6}); err != nil {
		t.Errorf("update: %v", err)
	}
	if err := c.Update(ctx, "a", poddir.Resources{MemoryBytes: 4}); !errors.Is(err, &Error{Code: CodeBusy}) || err.Error() != "a has more than 4" {
		t.Errorf("update to less: %v", err)
	}
	if err := c.Kill(ctx); err != nil {
		t.Error(err)
	}
	if err := c.PowerOff(ctx, true); err != nil || !<-f.off {
		t.Error("power off", err)
	}
	c.Close()
	if err := <-served; !errors.Is(err, ErrClosed) {
		t.Errorf("served: %v", err)
	}
	if err := c.Kill(ctx); !errors.Is(err, ErrClosed) {
		t.Errorf("kill on a closed channel: %v", err)
	}
	if _, ok := <-c.Events(); ok {
		t.Error("events go on")
	}
}

func TestStreams(t *testing.T) {
	f := newFake()
	c, _ := connect(t, f)
	out, err := c.OpenStream("a", Stdout)
	if err != nil {
		t.Fatal(err)
	}
	guest := <-f.streams
	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // beyond every window
	go func() {
		guest.Write(want)
		guest.Close()
	}()
	if got, err := io.ReadAll(out); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
	}

	in, err := c.OpenStream("a", Stdin)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		in.Write(want)
		in.Close()
	}()
	if got, err := io.ReadAll(<-f.stdin); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
	}

	// A host that reads no more.
	out, err = c.OpenStream("a", Stderr)
	if err != nil {
		t.Fatal(err)
	}
	guest = <-f.streams
	out.Close()
	guest.Abandoned()
}

// A stream that nobody reads holds up no other and no call.
func TestStreamsAreApart(t *testing.T) {
	f := newFake()
	c, _ := connect(t, f)
	if _, err := c.OpenStream("a", Stdout); err != nil {
		t.Fatal(err)
	}
	s := <-f.streams
	go func() {
		b := make([]byte, 64<<10)
		for {
			if _, err := s.Write(b); err != nil {
				return
			}
		}
	}()
	for range 20 {
		if err := c.SetTime(t.Context(), time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEnter(t *testing.T) {
	f := newFake()
	c, _ := connect(t, f)
	p, err := c.Enter(t.Context(), EnterSpec{App: "a", Command: []string{"x", "y", "z"}})
	if err != nil {
		t.Fatal(err)
	}
	if e, err := p.Wait(t.Context()); err != nil || e.Code != 3 {
		t.Errorf("%+v, %v", e, err)
	}
	if p.Stdin == nil || p.Stdout == nil || p.Stderr == nil {
		t.Error("streams are missing")
	}
}

// bare can do only what it must.
type bare struct{ Guest }

func TestUnknown(t *testing.T) {
	c, _ := connect(t, bare{newFake()})
	_, err := c.Stats(t.Context())
	if !errors.Is(err, &Error{Code: CodeUnknown}) {
		t.Errorf("stats: %v", err)
	}
	if got := strings.Join(c.Hello().Ops, " "); got != "hello start signal kill" {
		t.Errorf("ops are %s", got)
	}
}

func TestDialIsCancelled(t *testing.T) {
	h, _ := net.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Dial(ctx, h); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestNoise(t *testing.T) {
	h, g := channel(t)
	go func() {
		io.WriteString(g, "SeaBIOS\r\nbooting rkt-agent/1 soon\r\n")
		Serve(t.Context(), g, newFake())
	}()
	c, err := Dial(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}
