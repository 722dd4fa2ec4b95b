package supervisor

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/linuxpod/tty"
	"github.com/rkt/rkt/v2/sdk/supervise"
	"github.com/rkt/rkt/v2/sdk/vmguest/agent"
)

// streams carries the apps' output to where the pod's output goes, and the supervisor's input to them.
type streams struct {
	pod    *supervise.Pod
	client *agent.Client
	merge  bool // one file takes both outputs
	apps   []*appStreams

	copying sync.WaitGroup
	moved   atomic.Int64 // bytes, to see whether somebody still takes them
	writing atomic.Int32 // copies that wait for who takes them
	restore func()       // the user's terminal
}

// appStreams are an app's.
type appStreams struct {
	app            *poddir.App
	stdin          *agent.Stream
	stdout, stderr *agent.Stream
	out, err       *os.File
}

// How long the pod's end waits without a byte being moved: for a reader of the output that takes none, and for a
// guest that sends none and does not end its streams either.
const (
	readerTime = 10 * time.Second
	guestTime  = 2 * time.Second
)

func newStreams(p *supervise.Pod, c *agent.Client) *streams {
	s := &streams{pod: p, client: c, merge: p.Runtime.Detached || sameFile(os.Stdout, os.Stderr), restore: func() {}}
	for i := range p.Apps {
		s.apps = append(s.apps, &appStreams{app: &p.Apps[i]})
	}
	return s
}

func sameFile(a, b *os.File) bool {
	x, err := a.Stat()
	y, yerr := b.Stat()
	return err == nil && yerr == nil && os.SameFile(x, y)
}

// describe says it to the guest.
func (s *streams) describe() map[string]agent.Streams {
	out := map[string]agent.Streams{}
	for _, a := range s.apps {
		d := agent.Streams{Merge: s.merge}
		if a.app.Stdin == poddir.StdinTTY {
			d.Size = terminalSize()
		}
		out[a.app.Name] = d
	}
	return out
}

// terminalSize is the user's; of no terminal it is nothing.
func terminalSize() agent.Size {
	ws, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ)
	if err != nil {
		return agent.Size{}
	}
	return agent.Size{Rows: ws.Row, Cols: ws.Col}
}

// connect opens the streams, before the apps start.
func (s *streams) connect() error {
	for _, a := range s.apps {
		var err error
		name := a.app.Name
		if a.app.Stdin == poddir.StdinStream || a.app.Stdin == poddir.StdinTTY && !s.pod.Runtime.Detached {
			if a.stdin, err = s.client.OpenStream(name, agent.Stdin); err != nil {
				return err
			}
		}
		if a.stdout, err = s.client.OpenStream(name, agent.Stdout); err != nil {
			return err
		}
		if a.app.Stdin != poddir.StdinTTY && !s.merge {
			if a.stderr, err = s.client.OpenStream(name, agent.Stderr); err != nil {
				return err
			}
		}
	}
	return nil
}

// run copies until the streams end.
func (s *streams) run(ctx context.Context) {
	// A write to a closed pipe is the app's to notice, not this process's to die of.
	signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE)
	for _, a := range s.apps {
		a.out, a.err = os.Stdout, os.Stderr
		if s.pod.Runtime.Detached {
			if log, err := openLog(a.app.Name); err != nil {
				fmt.Fprintf(os.Stderr, "rkt: log of app %q: %v\n", a.app.Name, err)
			} else {
				a.out = log
			}
		}
		s.copyOut(a.out, a.stdout)
		if a.stderr != nil {
			s.copyOut(a.err, a.stderr)
		}
		if a.stdin == nil {
			continue
		}
		terminal := false
		if a.app.Stdin == poddir.StdinTTY {
			terminal = s.terminal(ctx, a)
		}
		go copyIn(a.stdin, a.app.Stdin == poddir.StdinTTY && !terminal)
	}
}

func openLog(app string) (*os.File, error) {
	if err := os.MkdirAll(poddir.LogsDir, 0o750); err != nil {
		return nil, err
	}
	return os.OpenFile(filepath.Join(poddir.LogsDir, app+".log"), os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NOFOLLOW, 0o640)
}

func (s *streams) copyOut(to *os.File, from *agent.Stream) {
	s.copying.Go(func() {
		defer from.Close()
		buf := make([]byte, 32<<10)
		for {
			n, err := from.Read(buf)
			if n > 0 {
				s.writing.Add(1)
				_, werr := to.Write(buf[:n])
				s.writing.Add(-1)
				if werr != nil {
					return // nobody reads any more, and the app is told
				}
				s.moved.Add(int64(n))
			}
			if err != nil {
				return
			}
		}
	})
}

// copyIn passes this process's input on. eot says that its end is to be typed.
func copyIn(to *agent.Stream, eot bool) {
	_, err := io.Copy(to, os.Stdin)
	if err == nil && eot {
		_, _ = to.Write([]byte{4}) // the end of a pipe is Ctrl-D on a terminal
		return
	}
	if !eot {
		to.Close()
	}
}

// terminal makes the user's terminal raw and follows its size.
func (s *streams) terminal(ctx context.Context, a *appStreams) bool {
	restore, ok := tty.Raw(0)
	if !ok {
		return false
	}
	s.restore = restore
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, unix.SIGWINCH)
	go func() {
		defer signal.Stop(resized)
		for {
			select {
			case <-resized:
				_ = s.client.Resize(ctx, agent.Target{App: a.app.Name}, terminalSize())
			case <-ctx.Done():
				return
			}
		}
	}()
	return true
}

// drain waits until the apps' output has been passed on, and gives the user's terminal back. Whoever reads slowly
// is waited for; who does not read at all, or a guest that never ends its streams, is not waited for for ever.
func (s *streams) drain() {
	defer s.restore()
	done := make(chan struct{})
	go func() {
		s.copying.Wait()
		close(done)
	}()
	for {
		last, stall := s.moved.Load(), guestTime
		if s.writing.Load() > 0 {
			stall = readerTime
		}
		select {
		case <-done:
			return
		case <-time.After(stall):
		}
		if s.moved.Load() == last && (s.writing.Load() == 0 || stall == readerTime) {
			return
		}
	}
}
