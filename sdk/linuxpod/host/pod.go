package host

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/wire"
	"github.com/rkt/rkt/v2/sdk/supervise"
)

// FirstExtra is the number that the first of the extra descriptors of Birth has in PID 1.
const FirstExtra = 4

// Pod is a running pod: its PID 1 and what that reports. Birth and Listen are called by one goroutine; Signal
// and Kill by any.
type Pod struct {
	pidOne *pidOne
	sock   int // to PID 1

	mu     sync.Mutex
	pidfds map[string]int // of running apps
}

// Observer is told what happens in the pod, by Listen's goroutine, in order.
type Observer interface {
	// Warning is for the user.
	Warning(text string)
	// Terminal hands over the master of the terminal of an app that is about to start.
	Terminal(app string, master int)
	// Started says that the app's program has been executed, with its pid here.
	Started(app string, pid int)
	Exited(app string, e supervise.Exit)
	// Up says that every app has been reported as started or exited.
	Up()
}

// Birth starts PID 1 of the pod that the working directory is, in the network namespace netns (-1: this one),
// with extra as its descriptors from FirstExtra on. It locks the goroutine to its thread, which enters that
// network for good, and on which PID 1's life hangs: Listen is to be called on it.
func Birth(netns int, extra ...int) (*Pod, error) {
	runtime.LockOSThread() // never unlocked
	ours, theirs, err := wire.Pair()
	if err != nil {
		return nil, err
	}
	defer unix.Close(theirs)
	p := &Pod{sock: ours, pidfds: map[string]int{}}
	if p.pidOne, err = birth(netns, theirs, extra); err != nil {
		unix.Close(ours)
		return nil, err
	}
	return p, nil
}

// Pid is PID 1's here.
func (p *Pod) Pid() int { return p.pidOne.pid }

// Listen passes on PID 1's reports until it ends, and stays until the kernel has taken every process of the
// pod away. An error is why the pod could not be made. It reads the socket without the runtime's poller, as the
// thread has nothing else to do.
func (p *Pod) Listen(o Observer) error {
	if err := p.listen(o); err != nil {
		return err
	}
	p.pidOne.reap()
	return nil
}

func (p *Pod) listen(o Observer) error {
	up := false
	for {
		m, err := wire.Receive(p.sock)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil && up:
			p.lost(o)
			return nil
		case err != nil:
			return fmt.Errorf("PID 1 of the pod has ended: %w", err)
		case m.Kind == wire.Failed:
			return errors.New(m.Text)
		case m.Kind == wire.Up:
			up = true
			o.Up()
		default:
			p.take(m, o)
		}
	}
}

func (p *Pod) take(m wire.Message, o Observer) {
	switch m.Kind {
	case wire.Warning:
		o.Warning(m.Text)
	case wire.Terminal:
		o.Terminal(m.App, m.FD)
	case wire.Started:
		p.mu.Lock()
		p.pidfds[m.App] = m.FD
		p.mu.Unlock()
		o.Started(m.App, hostPid(m.FD))
	case wire.Exited:
		p.forget(m.App)
		e := supervise.Exit{Code: int(m.Code), Signal: unix.Signal(m.Signal), Reason: m.Text}
		if e.Signal == unix.SIGKILL {
			e.OOM = oomKilled(m.App)
		}
		o.Exited(m.App, e)
	}
}

// lost reports apps that PID 1 can report no more: somebody killed it.
func (p *Pod) lost(o Observer) {
	p.mu.Lock()
	names := slices.Collect(maps.Keys(p.pidfds))
	p.mu.Unlock()
	for _, name := range names {
		p.forget(name)
		o.Exited(name, supervise.Exit{Signal: unix.SIGKILL})
	}
}

func (p *Pod) forget(app string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if fd, ok := p.pidfds[app]; ok {
		unix.Close(fd)
		delete(p.pidfds, app)
	}
}

// Signal signals the app's main process. One that has ended is no error.
func (p *Pod) Signal(app string, sig unix.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	fd, ok := p.pidfds[app]
	if !ok {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

// Kill ends the pod, once, and returns when every process of it is gone.
func (p *Pod) Kill() error { return p.pidOne.kill() }

// hostPid reads which process a pidfd is, in the host's numbers; 0 when it has been reaped.
func hostPid(pidfd int) int {
	b, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(pidfd))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "Pid:"); ok {
			pid, err := strconv.Atoi(strings.TrimSpace(v))
			if err != nil || pid < 0 {
				return 0
			}
			return pid
		}
	}
	return 0
}
