package host

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/plugins/stage1-linux/internal/plan"
	"github.com/rkt/rkt/v2/plugins/stage1-linux/internal/tty"
	"github.com/rkt/rkt/v2/plugins/stage1-linux/internal/wire"
	"github.com/rkt/rkt/v2/sdk/supervise"
)

// Flavor runs a pod's apps in Linux namespaces.
type Flavor struct {
	mu        sync.Mutex
	killed    bool
	pidOne    *pidOne
	plan      *plan.Plan
	pidfds    map[string]int // of running apps
	terminals []*tty.Proxy
}

var _ supervise.Flavor = (*Flavor)(nil)

// Start starts PID 1 and returns when it has started every app.
func (f *Flavor) Start(p *supervise.Pod, r *supervise.Reporter) error {
	pl, err := plan.Read(".")
	if err != nil {
		return err
	}
	for _, w := range pl.Warnings {
		fmt.Fprintf(os.Stderr, "rkt: %s\n", w)
	}
	ours, theirs, err := wire.Pair()
	if err != nil {
		return err
	}
	netns := -1
	if fd, ok := p.Netns(); ok {
		netns = fd
	}
	f.mu.Lock()
	if f.killed {
		f.mu.Unlock()
		return errors.New("stopped before it started")
	}
	f.plan, f.pidfds = pl, map[string]int{}
	f.pidOne, err = birth(netns, theirs)
	f.mu.Unlock()
	unix.Close(theirs)
	if err != nil {
		unix.Close(ours)
		return err
	}
	sock := os.NewFile(uintptr(ours), "PID 1")
	up := make(chan error, 1)
	go func() {
		defer sock.Close()
		f.listen(sock, r, up)
	}()
	return <-up
}

// listen takes PID 1's reports until it ends. up gets the outcome of the start.
func (f *Flavor) listen(sock *os.File, r *supervise.Reporter, up chan<- error) {
	raw, err := sock.SyscallConn()
	if err != nil {
		up <- err
		return
	}
	for {
		var m wire.Message
		var recvErr error
		err := raw.Read(func(fd uintptr) bool {
			m, recvErr = wire.Receive(int(fd))
			return !errors.Is(recvErr, unix.EAGAIN)
		})
		if err == nil {
			err = recvErr
		}
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			if errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) {
				err = errors.New("PID 1 of the pod has ended")
			}
			select {
			case up <- err:
			default:
			}
			f.lost(r)
			return
		case m.Kind == wire.Failed:
			up <- errors.New(m.Text)
			return
		case m.Kind == wire.Up:
			up <- nil
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
		e := supervise.Exit{Code: m.Code, Signal: unix.Signal(m.Signal), Reason: m.Text}
		if e.Signal == unix.SIGKILL {
			e.OOM = oomKills(f.plan.App(m.App).Cgroup) > 0
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
