package pidone

import (
	"errors"
	"fmt"
	"os"
	"path"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/confine"
	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/plan"
	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/rootfs"
	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/spawn"
	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/wire"
	"github.com/rkt/rkt/v2/sdk/linuxpod/tty"
)

// app is one app of the pod, and the thread that has its mount namespace.
type app struct {
	*plan.App
	i    *pidOne
	work chan func() // run on the thread; closing it ends the thread; nil: all threads of PID 1
	root *rootfs.Root
	set  *confine.Settings
	fds  []int // to close with the thread

	after []poddir.EventHandler // post-stop, still to run
	end   unix.WaitStatus       // of the app itself, while those run
	ended bool
}

func newApp(i *pidOne, p *plan.App, apart bool) *app {
	a := &app{App: p, i: i}
	if !apart {
		return a
	}
	a.work = make(chan func())
	go func() {
		// Never unlocked: the thread has another mount namespace than all others and ends with the goroutine.
		runtime.LockOSThread()
		for f := range a.work {
			f()
		}
	}()
	return a
}

// on runs f where the app's mount namespace is.
func (a *app) on(f func() error) error {
	if a.work == nil {
		return f()
	}
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
		filter, err := a.i.plan.FilterOf(a.App)
		if err != nil {
			return err
		}
		if a.work != nil {
			if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
				return fmt.Errorf("make mount namespace: %w", err)
			}
		}
		if a.root, err = rootfs.Build(a.i.plan, a.App); err != nil {
			return err
		}
		if a.root.Slave >= 0 {
			tty.CopySize(0, a.root.Slave)
			if s := a.Streams; s != nil && s.Rows > 0 {
				tty.SetSize(a.root.Slave, s.Rows, s.Cols)
			}
			stdio = [3]int{a.root.Slave, a.root.Slave, a.root.Slave}
			a.fds = append(a.fds, a.root.Slave)
		}
		a.set = &confine.Settings{App: a.App, Stdio: stdio, Proc: a.root.Proc, Cgroup: cgroup, Filter: filter}
		return nil
	})
}

// streams takes the descriptors that PID 1 was born with for this app.
func (a *app) streams() (fds [3]int, err error) {
	fds = [3]int{a.Streams.Stdin, a.Streams.Stdout, a.Streams.Stderr}
	for i, fd := range fds {
		if fd == 0 {
			flags := unix.O_WRONLY
			if i == 0 {
				flags = unix.O_RDONLY
			}
			if fds[i], err = unix.Open("/dev/null", flags|unix.O_CLOEXEC, 0); err != nil {
				return fds, fmt.Errorf("open /dev/null: %w", err)
			}
		}
		if i < 2 || fds[2] != fds[1] { // two names of one descriptor are closed once
			a.fds = append(a.fds, fds[i])
		}
	}
	return fds, nil
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
	if a.Streams != nil {
		return a.streams()
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
	if reason, code := a.before(); reason != "" {
		a.close()
		a.report(wire.Message{Code: uint8(code), Text: reason})
		return
	}
	res, err := a.spawn(a.set)
	if err != nil {
		a.close()
		code := confine.CannotExecute
		if failed := (*confine.ExecError)(nil); errors.As(err, &failed) {
			code = failed.Code
		}
		a.report(wire.Message{Code: uint8(code), Text: err.Error()})
		return
	}
	a.i.procs[res.Pid] = a
	for _, h := range a.Handlers {
		if h.Name == "post-stop" {
			a.after = append(a.after, h)
		}
	}
	if len(a.after) == 0 {
		a.close()
	}
	a.i.send(wire.Message{Kind: wire.Started, App: a.Name, FD: res.Pidfd})
	unix.Close(res.Pidfd)
}

// spawn starts a program on the app's thread. PID 1 reaps between two starts, never while one is going on.
func (a *app) spawn(s *confine.Settings) (res spawn.Result, err error) {
	err = a.on(func() (err error) {
		res, err = s.Start(a.i.warn)
		return err
	})
	return res, err
}

// close ends the thread. The app itself keeps the mount namespace.
func (a *app) close() {
	if a.work != nil {
		close(a.work)
	}
	for _, fd := range append(a.fds, a.root.Dir, a.root.Proc) {
		unix.Close(fd)
	}
	a.set.Close()
}

// exited takes the end of the app's main process, or of the event handler that runs after it.
func (a *app) exited(ws unix.WaitStatus) {
	if !a.ended {
		a.ended, a.end = true, ws
	} else if ws != 0 {
		a.i.warn("app %q: its post-stop handler %s", a.Name, ending(ws))
	}
	for len(a.after) > 0 {
		h := a.after[0]
		a.after = a.after[1:]
		res, err := a.spawn(a.handler(h))
		if err == nil {
			unix.Close(res.Pidfd)
			a.i.procs[res.Pid] = a
			return
		}
		a.i.warn("app %q: its post-stop handler cannot be run: %v", a.Name, err)
	}
	if a.keptThread() {
		a.close()
	}
	var m wire.Message
	if a.end.Signaled() {
		m.Signal = uint8(a.end.Signal())
	} else {
		m.Code = uint8(a.end.ExitStatus())
	}
	a.report(m)
}

// report says how the app ended.
func (a *app) report(m wire.Message) {
	m.Kind, m.App, m.FD = wire.Exited, a.Name, -1
	a.i.left--
	a.i.send(m)
}

// keptThread says whether the thread outlived the start, for handlers.
func (a *app) keptThread() bool {
	for _, h := range a.Handlers {
		if h.Name == "post-stop" {
			return true
		}
	}
	return false
}
