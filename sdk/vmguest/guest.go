package vmguest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/linuxpod"
	"github.com/rkt/rkt/v2/sdk/linuxpod/host"
	"github.com/rkt/rkt/v2/sdk/vmguest/agent"
)

// guest is what the agent can do here.
type guest struct {
	build    string
	how      int // to power off
	ending   atomic.Bool
	children children
	hub      hub

	mu        sync.Mutex
	spec      *agent.PodSpec // nil: not started
	storage   storage
	lock      int           // of the pod directory, or -1
	pod       *host.Pod     // nil: its PID 1 has not been born
	ended     chan struct{} // closed when nothing of the pod is left and everything has been reported
	apps      map[string]*stdio
	processes map[uint64]*process // of enter
	last      uint64
	killed    bool
}

var (
	_ agent.Guest   = (*guest)(nil)
	_ agent.Resizer = (*guest)(nil)
	_ agent.Enterer = (*guest)(nil)
	_ agent.Statser = (*guest)(nil)
	_ agent.Updater = (*guest)(nil)
	_ agent.Clock   = (*guest)(nil)
	_ agent.Powerer = (*guest)(nil)
)

func newGuest(build string, how int) *guest {
	return &guest{build: build, how: how, lock: -1, ended: make(chan struct{}), apps: map[string]*stdio{}, processes: map[uint64]*process{}}
}

// Hello says what runs here.
func (g *guest) Hello() agent.Hello {
	var u unix.Utsname
	_ = unix.Uname(&u)
	return agent.Hello{Build: g.build, Kernel: unix.ByteSliceToString(u.Release[:])}
}

// Stream leaves the stream for the program that it is for.
func (g *guest) Stream(h agent.Header, s *agent.Stream) {
	switch h.FD {
	case agent.Stdin, agent.Stdout, agent.Stderr:
	default:
		s.Close()
		return
	}
	g.mu.Lock()
	known := g.spec == nil || g.apps[h.App] != nil
	if h.Kind == agent.StreamEnter {
		known = g.processes[h.Process] != nil
	}
	g.mu.Unlock()
	if !known {
		s.Close()
		return
	}
	g.hub.offer(key{h.Target, h.FD}, s)
}

// Signal signals an app or a process of enter.
func (g *guest) Signal(t agent.Target, signal int) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.Process != 0 {
		p := g.processes[t.Process]
		if p == nil {
			return agent.Refuse(agent.CodeNotFound, "no process %d", t.Process)
		}
		return p.signal(unix.Signal(signal))
	}
	if g.pod == nil {
		return agent.Refuse(agent.CodeState, "pod has not been started")
	}
	if g.apps[t.App] == nil {
		return agent.Refuse(agent.CodeNotFound, "pod has no app %q", t.App)
	}
	return g.pod.Signal(t.App, unix.Signal(signal))
}

// Resize sets the size of a terminal.
func (g *guest) Resize(t agent.Target, size agent.Size) error {
	g.mu.Lock()
	s := g.apps[t.App]
	if p := g.processes[t.Process]; p != nil {
		s = p.stdio
	}
	g.mu.Unlock()
	if s == nil {
		return agent.Refuse(agent.CodeNotFound, "no app %q, no process %d", t.App, t.Process)
	}
	return s.resize(size)
}

// Kill ends the pod and sees its output to the host.
func (g *guest) Kill(ctx context.Context) error {
	g.mu.Lock()
	pod, again, spec := g.pod, g.killed, g.spec
	g.killed = true
	g.mu.Unlock()
	if pod == nil {
		return nil // and Start, if it runs, will see that
	}
	if !again {
		if err := pod.Kill(); err != nil {
			return err
		}
	}
	select {
	case <-g.ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	if again {
		return nil
	}
	for _, s := range g.streams() {
		s.finish()
	}
	g.storage.sync(spec.Volatile)
	return nil
}

// streams are those of every program there was.
func (g *guest) streams() []*stdio {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []*stdio
	for _, s := range g.apps {
		out = append(out, s)
	}
	for _, p := range g.processes {
		out = append(out, p.stdio)
	}
	return out
}

// Stats reads the apps' cgroups.
func (g *guest) Stats() ([]agent.AppStats, error) {
	g.mu.Lock()
	started := g.pod != nil
	g.mu.Unlock()
	if !started {
		return nil, agent.Refuse(agent.CodeState, "pod has not been started")
	}
	usage, err := linuxpod.Stats(podDir)
	var out []agent.AppStats
	for _, u := range usage {
		out = append(out, agent.AppStats(u))
	}
	return out, err
}

// Update writes the app's cgroup.
func (g *guest) Update(app string, r poddir.Resources) error {
	g.mu.Lock()
	started, known := g.pod != nil && !g.killed, g.apps[app] != nil
	g.mu.Unlock()
	switch {
	case !started:
		return agent.Refuse(agent.CodeState, "pod is not running")
	case !known:
		return agent.Refuse(agent.CodeNotFound, "pod has no app %q", app)
	}
	err := linuxpod.Update(context.Background(), podDir, app, r)
	if errors.As(err, new(*linuxpod.InUseError)) {
		return agent.Refuse(agent.CodeBusy, "%v", err)
	}
	return err
}

// PowerOff ends the machine, the pod's disk in order.
func (g *guest) PowerOff(reboot bool) {
	g.ending.Store(true)
	g.mu.Lock()
	lock := g.lock
	g.mu.Unlock()
	if lock >= 0 && unix.Chdir("/") == nil {
		unix.Close(lock)
		// A disk that still has users stays as syncfs left it.
		if err := unix.Unmount(podDir, 0); err != nil {
			complain("unmount the pod's disk: %v", err)
		}
	}
	how := g.how
	if reboot {
		how = unix.LINUX_REBOOT_CMD_RESTART
	}
	off(how)
}
