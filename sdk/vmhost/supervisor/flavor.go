package supervisor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/sdk/supervise"
	"github.com/rkt/rkt/v2/sdk/vmguest/agent"
	"github.com/rkt/rkt/v2/sdk/vmhost"
	"github.com/rkt/rkt/v2/sdk/vmhost/cage"
)

// Flavor runs a pod in a machine of VMM.
type Flavor struct {
	VMM vmhost.VMM

	m       *vmhost.Machine
	pod     *supervise.Pod
	limits  limits
	monitor vmhost.Monitor  // nil: the VMM has none
	ctx     context.Context // of the machine's life
	end     context.CancelFunc
	open    []*os.File // descriptors of the start, closed once the programs have them

	mu      sync.Mutex
	killed  bool
	client  *agent.Client
	vmm     *cage.Process
	servers []*cage.Process // of shared directories
	running map[string]bool
	io      *streams
	console *console
	gone    chan struct{} // closed when every process has been reaped
	started bool          // gone will be closed
}

// New makes a Flavor.
func New(vmm vmhost.VMM) *Flavor {
	f := &Flavor{VMM: vmm, running: map[string]bool{}, gone: make(chan struct{}), console: &console{}}
	f.ctx, f.end = context.WithCancel(context.Background())
	return f
}

var _ supervise.Updater = (*Flavor)(nil)

// Start boots the machine and stays until it has ended.
func (f *Flavor) Start(p *supervise.Pod, r *supervise.Reporter) error {
	runtime.LockOSThread() // never unlocked: the thread is in the pod's network, and the machine hangs on it
	f.pod = p
	var err error
	if f.m, err = vmhost.ReadMachine("."); err != nil {
		return err
	}
	f.mu.Lock()
	if f.killed {
		f.mu.Unlock()
		return errors.New("stopped before it started")
	}
	f.started = true
	f.mu.Unlock()
	defer f.reap() // what was started, whatever happens
	channel, err := f.boot()
	f.closeAll()
	if err != nil {
		f.killProcesses()
		return err
	}
	if err := f.greet(channel); err != nil {
		f.killProcesses()
		return err
	}
	up := make(chan error, 1)
	go func() { up <- f.watch(r) }()
	err = <-up // the machine is gone, or has failed to make the pod
	f.killProcesses()
	return err
}

// seedSize is entropy for the guest's pool, which has none of its own yet when the first app wants some.
const seedSize = 64

// greet waits for the agent and gives it the pod.
func (f *Flavor) greet(channel func(context.Context) (*agent.Client, error)) error {
	ctx, cancel := context.WithTimeout(f.ctx, f.m.Config.BootTime())
	defer cancel()
	died := make(chan struct{})
	go func() { // a VMM that ends has nothing more to say
		f.vmm.Wait()
		close(died)
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond): // what it has said is read first
			cancel()
		}
	}()
	c, err := channel(ctx)
	if err != nil {
		return f.bootError(err, died)
	}
	f.mu.Lock()
	f.client = c
	f.mu.Unlock()
	if err := c.SetTime(ctx, time.Now()); err != nil && !errors.Is(err, &agent.Error{Code: agent.CodeUnknown}) {
		return f.bootError(err, died)
	}
	f.io = newStreams(f.pod, c)
	spec := f.m.Spec
	spec.Streams = f.io.describe()
	spec.Interfaces = f.interfaces()
	spec.Seed = make([]byte, seedSize)
	_, _ = rand.Read(spec.Seed) // never fails
	if err := f.io.connect(); err != nil {
		return f.bootError(err, died)
	}
	if err := c.Start(ctx, &spec); err != nil {
		return f.bootError(err, died)
	}
	f.io.run(f.ctx)
	f.keepClock()
	if err := f.serveEnter(); err != nil {
		fmt.Fprintf(os.Stderr, "rkt: %v; `rkt enter` will not work\n", err)
	}
	return nil
}

// bootError says what is known of a machine that did not come up.
func (f *Flavor) bootError(err error, died <-chan struct{}) error {
	var refused *agent.Error
	select {
	case <-died:
		ws := f.vmm.Wait()
		err = fmt.Errorf("the virtual machine has ended while it started: %s", describe(ws))
		if ws.Exited() && ws.ExitStatus() == 0 {
			err = fmt.Errorf("%w: the guest's kernel has reset the processor, or panicked", err)
		}
	default:
		if f.ctx.Err() != nil {
			return errors.New("stopped while it started")
		}
		if errors.As(err, &refused) {
			return fmt.Errorf("guest: %w", err)
		}
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("the guest's agent has not answered within %v (bootSeconds)", f.m.Config.BootTime())
		}
	}
	if said := f.console.tail(); said != "" {
		err = fmt.Errorf("%w; its console said:\n%s", err, said)
	}
	return err
}

func describe(ws syscall.WaitStatus) string {
	if ws.Signaled() {
		return unix.SignalName(ws.Signal())
	}
	return fmt.Sprintf("status %d", ws.ExitStatus())
}

// watch passes the guest's news on until the machine ends. An error means that the pod could not be made.
func (f *Flavor) watch(r *supervise.Reporter) error {
	up := false
	for e := range f.client.Events() {
		switch e.Kind {
		case agent.EventUp:
			up = true
			f.limits.begin(f.m)
			r.Up()
		case agent.EventStarted:
			f.mark(e.App, true)
			r.Started(e.App, f.vmm.Pid)
		case agent.EventExited:
			f.mark(e.App, false)
			r.Exited(e.App, supervise.Exit{Code: e.Code, Signal: unix.Signal(e.Signal), OOM: e.OOM, Reason: e.Reason})
		case agent.EventWarning:
			fmt.Fprintf(os.Stderr, "rkt: %s\n", printable(e.Text))
		case agent.EventFailed:
			return errors.New(printable(e.Text))
		}
	}
	f.mu.Lock()
	killed := f.killed
	f.mu.Unlock()
	if killed {
		return nil
	}
	err := f.client.Err()
	if !up {
		return fmt.Errorf("guest: %w", err)
	}
	f.obituary(err)
	for _, app := range f.left() {
		r.Exited(app, supervise.Exit{Signal: unix.SIGKILL})
	}
	return nil
}

// exitTime is how long a VMM may take to end after it has closed the channel.
const exitTime = time.Second

// obituary says how the machine ended that nobody asked to end.
func (f *Flavor) obituary(err error) {
	if !errors.Is(err, agent.ErrClosed) {
		f.killProcesses() // it broke the protocol
		fmt.Fprintf(os.Stderr, "rkt: virtual machine is given up: %v\n", err)
		return
	}
	killing := time.AfterFunc(exitTime, f.killProcesses)
	ws := f.vmm.Wait()
	killing.Stop()
	fmt.Fprintf(os.Stderr, "rkt: virtual machine has ended (%s)\n", describe(ws))
	// Who was killed from outside has nothing to say; a guest whose kernel panicked has.
	if said := f.console.tail(); said != "" && !ws.Signaled() {
		fmt.Fprintf(os.Stderr, "rkt: its console said:\n%s\n", said)
	}
}

func (f *Flavor) mark(app string, running bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if running {
		f.running[app] = true
	} else {
		delete(f.running, app)
	}
}

func (f *Flavor) left() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for app := range f.running {
		out = append(out, app)
	}
	f.running = map[string]bool{}
	return out
}

// requestTime bounds a request to a guest that may be slow, or hostile.
const requestTime = 5 * time.Second

// Signal has the guest signal the app's main process. It does not wait for the guest: the one who calls has other
// things to decide.
func (f *Flavor) Signal(app string, sig unix.Signal) error {
	f.mu.Lock()
	c := f.client
	f.mu.Unlock()
	if c == nil {
		return nil
	}
	go func() {
		ctx, cancel := context.WithTimeout(f.ctx, requestTime)
		defer cancel()
		err := c.Signal(ctx, agent.Target{App: app}, int(sig))
		if err != nil && !errors.Is(err, agent.ErrClosed) && ctx.Err() == nil && !errors.Is(err, &agent.Error{Code: agent.CodeNotFound}) {
			fmt.Fprintf(os.Stderr, "rkt: send %s to app %q: %v\n", unix.SignalName(sig), app, err)
		}
	}()
	return nil
}

// Kill ends the pod. The guest is asked first, so that what its apps have written arrives, and what they wrote to
// host volumes is there; if it does not answer it is ended like any process.
func (f *Flavor) Kill() error {
	f.mu.Lock()
	f.killed = true
	c, started := f.client, f.started
	f.mu.Unlock()
	if !started {
		return nil
	}
	if c != nil {
		ctx, cancel := context.WithTimeout(context.Background(), requestTime)
		if c.Kill(ctx) == nil && len(f.m.Shares) > 0 {
			_ = c.PowerOff(ctx, f.VMM.Traits().Reboot) // unmounts
		}
		cancel()
	}
	if f.io != nil {
		f.io.drain()
	}
	if c != nil {
		c.Close()
	}
	f.end()
	f.killProcesses()
	<-f.gone
	return nil
}

// killProcesses ends the machine and what serves it.
func (f *Flavor) killProcesses() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.vmm != nil {
		f.vmm.Kill()
	}
	for _, s := range f.servers {
		s.Kill()
	}
}

// reap waits for every process. It runs on the thread that they hang on.
func (f *Flavor) reap() {
	f.mu.Lock()
	all := append([]*cage.Process{}, f.servers...)
	if f.vmm != nil {
		all = append(all, f.vmm)
	}
	f.mu.Unlock()
	for _, p := range all {
		p.Wait()
	}
	_ = os.Remove(enterPath)
	close(f.gone)
}
