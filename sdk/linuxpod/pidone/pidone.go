package pidone

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/mnt"
	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/plan"
	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/rootfs"
	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/wire"
	"github.com/rkt/rkt/v2/sdk/supervise"
)

// Sock is the descriptor of the supervisor's socket.
const Sock = 3

// Main is PID 1. It returns when the last app has ended, or with an error when the pod cannot be made.
func Main() error {
	unix.CloseOnExec(Sock)
	i := &pidOne{procs: map[int]*app{}}
	err := i.start()
	if err != nil {
		i.send(wire.Message{Kind: wire.Failed, Text: err.Error(), FD: -1})
		return err
	}
	return i.reap()
}

type pidOne struct {
	plan  *plan.Plan
	apps  []*app
	procs map[int]*app // by pid
	left  int          // apps that have not been reported as exited
}

func (i *pidOne) start() error {
	if unix.Getpid() != 1 {
		return errors.New("this is PID 1 of a pod, and not started by hand")
	}
	var err error
	if i.plan, err = plan.Read("."); err != nil {
		return err
	}
	if err := supervised(); err != nil {
		return err
	}
	// What is in /proc/1 of the pod (environ, maps, fd) is nobody's business but root of the host's.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("set dumpable: %w", err)
	}
	unix.Umask(0)
	if err := unix.Sethostname([]byte(i.plan.Hostname)); err != nil {
		return fmt.Errorf("set hostname %q: %w", i.plan.Hostname, err)
	}
	if err := mnt.Private(); err != nil {
		return err
	}
	if err := rootfs.Shared(); err != nil {
		return fmt.Errorf("make /dev/shm: %w", err)
	}
	for _, w := range i.plan.Warnings {
		i.warn("%s", w)
	}
	for n := range i.plan.Apps {
		if s := i.plan.Apps[n].Streams; s != nil {
			for _, fd := range []int{s.Stdin, s.Stdout, s.Stderr} {
				if fd > Sock {
					unix.CloseOnExec(fd)
				}
			}
		}
	}
	for n := range i.plan.Apps {
		// The last app shares PID 1's own mount namespace, which has no other use.
		a := newApp(i, &i.plan.Apps[n], n < len(i.plan.Apps)-1)
		if err := a.build(); err != nil {
			return fmt.Errorf("app %q: %w", a.Name, err)
		}
		i.apps = append(i.apps, a)
	}
	i.left = len(i.apps)
	for _, a := range i.apps {
		a.start()
	}
	i.send(wire.Message{Kind: wire.Up, FD: -1})
	supervise.TrimLater()
	return nil
}

// supervised checks that the supervisor lives. The parent death signal, which is set by now, watches over
// everything after this moment; without this one look, a supervisor that ended before it was set would be
// survived.
func supervised() error {
	p := []unix.PollFd{{Fd: Sock, Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(p, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n > 0 {
			return errors.New("supervisor has ended")
		}
		return nil
	}
}

// reap collects what ends, apps and orphans alike, until the last app has been reported. Then PID 1 has
// nothing more to do, and what the apps left behind goes with it.
func (i *pidOne) reap() error {
	for i.left > 0 {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, 0, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("wait: %w", err)
		}
		if a := i.procs[pid]; a != nil {
			delete(i.procs, pid)
			a.exited(ws)
		}
	}
	return nil
}

// send reports. A supervisor that is gone takes PID 1 along; one that is there is told by the end of the
// socket that it cannot be told.
func (i *pidOne) send(m wire.Message) {
	if err := wire.Send(Sock, m); err != nil {
		unix.Close(Sock)
	}
}

func (i *pidOne) warn(format string, args ...any) {
	i.send(wire.Message{Kind: wire.Warning, Text: fmt.Sprintf(format, args...), FD: -1})
}
