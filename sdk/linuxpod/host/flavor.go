package host

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/sdk/linuxpod/tty"
	"github.com/rkt/rkt/v2/sdk/supervise"
)

// Flavor runs a pod's apps in Linux namespaces, for a supervisor on the host.
type Flavor struct {
	mu        sync.Mutex
	killed    bool
	pod       *Pod
	detached  bool
	report    *supervise.Reporter
	terminals []*tty.Proxy
}

var (
	_ supervise.Early = (*Flavor)(nil)
	_ Observer        = (*Flavor)(nil)
)

// Birth starts PID 1, which reads the plan itself.
func (f *Flavor) Birth(p *supervise.Pod) error {
	netns := -1
	if fd, ok := p.Netns(); ok {
		netns = fd
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.killed {
		return errors.New("stopped before it started")
	}
	var err error
	f.pod, err = Birth(netns)
	return err
}

// Start passes on PID 1's reports, and stays until it has been reaped: the parent death signal of PID 1 hangs
// on this thread.
func (f *Flavor) Start(p *supervise.Pod, r *supervise.Reporter) error {
	f.detached, f.report = p.Runtime.Detached, r
	return f.pod.Listen(f)
}

// Warning tells the user.
func (f *Flavor) Warning(text string) { fmt.Fprintf(os.Stderr, "rkt: %s\n", text) }

// Started passes it on.
func (f *Flavor) Started(app string, pid int) { f.report.Started(app, pid) }

// Exited passes it on.
func (f *Flavor) Exited(app string, e supervise.Exit) { f.report.Exited(app, e) }

// Up passes it on.
func (f *Flavor) Up() { f.report.Up() }

// Signal signals the app's main process.
func (f *Flavor) Signal(app string, sig unix.Signal) error { return f.pod.Signal(app, sig) }

// Kill ends the pod.
func (f *Flavor) Kill() error {
	f.mu.Lock()
	f.killed = true
	p, terminals := f.pod, f.terminals
	f.mu.Unlock()
	if p == nil {
		return nil
	}
	err := p.Kill()
	for _, t := range terminals {
		t.Wait()
	}
	return err
}
