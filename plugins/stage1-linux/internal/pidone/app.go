package pidone

import (
	"errors"
	"fmt"
	"os"
	"path"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/plugins/stage1-linux/internal/confine"
	"github.com/rkt/rkt/v2/plugins/stage1-linux/internal/plan"
	"github.com/rkt/rkt/v2/plugins/stage1-linux/internal/rootfs"
	"github.com/rkt/rkt/v2/plugins/stage1-linux/internal/spawn"
	"github.com/rkt/rkt/v2/plugins/stage1-linux/internal/tty"
	"github.com/rkt/rkt/v2/plugins/stage1-linux/internal/wire"
	"github.com/rkt/rkt/v2/proto/poddir"
)

// app is one app of the pod, and the thread that has its mount namespace.
type app struct {
	*plan.App
	i    *pidOne
	work chan func() // run on the thread; closing it ends the thread
	root *rootfs.Root
	set  *confine.Settings
	fds  []int // to close when the app has been started
}

func newApp(i *pidOne, p *plan.App) *app {
	a := &app{App: p, i: i, work: make(chan func())}
	go func() {
		// Never unlocked: the thread has another mount namespace than all others and ends with the goroutine.
		runtime.LockOSThread()
		for f := range a.work {
			f()
		}
	}()
	return a
}

// on runs f on the app's thread.
func (a *app) on(f func() error) error {
	done := make(chan error)
	a.work <- func() { done <- f() }
	return <-done
}

// build makes everything that can fail before the first app of the pod runs.
func (a *app) build() error {
	return a.on(func() error {
		stdio, err := a.stdio()
		if err != nil {
			return err
		}
		cgroup, err := confine.OpenCgroup(a.Cgroup)
		if err != nil {
			return err
		}
		filter, err := confine.ReadFilter(a.App)
		if err != nil {
			return err
		}
		if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("make mount namespace: %w", err)
		}
		if a.root, err = rootfs.Build(a.i.plan, a.App); err != nil {
			return err
		}
		if a.root.Slave >= 0 {
			tty.CopySize(0, a.root.Slave)
			stdio = [3]int{a.root.Slave, a.root.Slave, a.root.Slave}
			a.fds = append(a.fds, a.root.Slave)
		}
		a.set = &confine.Settings{App: a.App, Stdio: stdio, Proc: a.root.Proc, Cgroup: cgroup, Filter: filter, NoFile: a.i.noFile}
		return nil
	})
}

// stdio opens the app's streams, each above 2. It runs while the host's tree is still in sight.
func (a *app) stdio() (fds [3]int, err error) {
	dup := func(fd int) (int, error) {
		n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		a.fds = append(a.fds, n)
		return n, err
	}
	if a.Stdin == poddir.StdinTTY {
		return fds, nil
	}
	if a.Stdin == poddir.StdinStream {
		fds[0], err = dup(0)
	} else {
		fds[0], err = unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		a.fds = append(a.fds, fds[0])
	}
	if err != nil {
		return fds, fmt.Errorf("open stdin: %w", err)
	}
	if !a.i.plan.Detached {
		if fds[1], err = dup(1); err != nil {
			return fds, fmt.Errorf("open stdout: %w", err)
		}
		if fds[2], err = dup(2); err != nil {
			return fds, fmt.Errorf("open stderr: %w", err)
		}
		return fds, nil
	}
	log := path.Join(poddir.LogsDir, a.Name+".log")
	if err := os.MkdirAll(poddir.LogsDir, 0o750); err != nil {
		return fds, err
	}
	if fds[1], err = unix.Open(log, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o640); err != nil {
		return fds, &os.PathError{Op: "open log", Path: log, Err: err}
	}
	a.fds = append(a.fds, fds[1])
	fds[2] = fds[1]
	return fds, nil
}

// start starts the app and tells the supervisor what came of it.
func (a *app) start() {
	if a.root.Master >= 0 {
		a.i.send(wire.Message{Kind: wire.Terminal, App: a.Name, FD: a.root.Master})
		unix.Close(a.root.Master)
	}
	var res spawn.Result
	var failed *confine.ExecError
	err := a.on(func() (err error) {
		res, err = a.set.Start(a.i.warn)
		if err == nil {
			// Known to the reaper before it looks: it starts after every app has been started.
			a.i.procs[res.Pid] = a
		}
		return err
	})
	close(a.work)
	for _, fd := range append(a.fds, a.root.Dir, a.root.Proc) {
		unix.Close(fd)
	}
	a.set.Close()
	switch {
	case errors.As(err, &failed):
		a.i.send(wire.Message{Kind: wire.Exited, App: a.Name, Code: failed.Code, Text: failed.Error(), FD: -1})
	case err != nil:
		a.i.send(wire.Message{Kind: wire.Exited, App: a.Name, Code: confine.CannotExecute, Text: err.Error(), FD: -1})
	default:
		a.i.send(wire.Message{Kind: wire.Started, App: a.Name, FD: res.Pidfd})
		unix.Close(res.Pidfd)
	}
}

// exited reports the end of the app's main process.
func (a *app) exited(ws unix.WaitStatus) {
	m := wire.Message{Kind: wire.Exited, App: a.Name, FD: -1}
	if ws.Signaled() {
		m.Signal = int(ws.Signal())
	} else {
		m.Code = ws.ExitStatus()
	}
	a.i.send(m)
}
