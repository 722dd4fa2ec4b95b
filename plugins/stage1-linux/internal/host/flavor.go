package host

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/plugins/stage1-linux/internal/tty"
	"github.com/rkt/rkt/v2/plugins/stage1-linux/internal/wire"
	"github.com/rkt/rkt/v2/sdk/supervise"
)

// Flavor runs a pod's apps in Linux namespaces.
type Flavor struct {
	mu        sync.Mutex
	killed    bool
	pidOne    *pidOne
	sock      int // to PID 1
	detached  bool
	pidfds    map[string]int // of running apps
	terminals []*tty.Proxy
}

var _ supervise.Early = (*Flavor)(nil)

// Birth starts PID 1, which reads the plan itself.
func (f *Flavor) Birth(p *supervise.Pod) error {
	runtime.LockOSThread() // never unlocked: the thread is in the pod's network from here on
	ours, theirs, err := wire.Pair()
	if err != nil {
		return err
	}
	defer unix.Close(theirs)
	netns := -1
	if fd, ok := p.Netns(); ok {
		netns = fd
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.killed {
		return errors.New("stopped before it started")
	}
	f.sock, f.pidfds = ours, map[string]int{}
	f.pidOne, err = birth(netns, theirs)
	return err
}

// Start passes on PID 1's reports, and stays until it has been reaped: the parent death signal of PID 1 hangs
// on this thread. It reads the socket without the runtime's poller, as the thread has nothing else to do.
func (f *Flavor) Start(p *supervise.Pod, r *supervise.Reporter) error {
	f.detached = p.Runtime.Detached
	if err := f.listen(f.sock, r); err != nil {
		return err
	}
	f.pidOne.reap()
	return nil
}

// listen takes PID 1's reports until it ends. An error is why the pod could not be made.
func (f *Flavor) listen(sock int, r *supervise.Reporter) error {
	up := false
	for {
		m, err := wire.Receive(sock)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil && up:
			f.lost(r)
			return nil
		case err != nil:
			return fmt.Errorf("PID 1 of the pod has ended: %w", err)
		case m.Kind == wire.Failed:
			return errors.New(m.Text)
		case m.Kind == wire.Up:
			up = true
			r.Up()
		default:
			f.take(m, r)
		}
	}
}

func (f *Flavor) take(m wire.Message, r *supervise.Reporter) {
	switch m.Kind {
	case wire.Warning:
		fmt.Fprintf(os.Stderr, "rkt: %s\n", m.Text)
	case wire.Terminal:
		f.terminal(m.App, m.FD)
	case wire.Started:
		f.mu.Lock()
		f.pidfds[m.App] = m.FD
		f.mu.Unlock()
		r.Started(m.App, hostPid(m.FD))
	case wire.Exited:
		f.forget(m.App)
		e := supervise.Exit{Code: int(m.Code), Signal: unix.Signal(m.Signal), Reason: m.Text}
		if e.Signal == unix.SIGKILL {
			e.OOM = oomKilled(m.App)
		}
		r.Exited(m.App, e)
	}
}

// lost reports apps that PID 1 can report no more: somebody killed it.
func (f *Flavor) lost(r *supervise.Reporter) {
	f.mu.Lock()
	var names []string
	for name := range f.pidfds {
		names = append(names, name)
	}
	f.mu.Unlock()
	for _, name := range names {
		f.forget(name)
		r.Exited(name, supervise.Exit{Signal: unix.SIGKILL})
	}
}

func (f *Flavor) forget(app string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fd, ok := f.pidfds[app]; ok {
		unix.Close(fd)
		delete(f.pidfds, app)
	}
}

// Signal signals the app's main process.
func (f *Flavor) Signal(app string, sig unix.Signal) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	fd, ok := f.pidfds[app]
	if !ok {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

// Kill ends the pod.
func (f *Flavor) Kill() error {
	f.mu.Lock()
	f.killed = true
	p, terminals := f.pidOne, f.terminals
	f.mu.Unlock()
	if p == nil {
		return nil
	}
	err := p.kill()
	for _, t := range terminals {
		t.Wait()
	}
	return err
}

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
