package host

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/mnt"
)

// pidOne is the pod's PID 1, seen from the host.
type pidOne struct {
	pid, pidfd int
	reaped     sync.Once
}

// birth starts PID 1 of the pod in new pid, mount, ipc and uts namespaces, in the network namespace netns
// (-1: the host's), with sock as its descriptor 3 and extra from FirstExtra on. The calling goroutine must be locked to its thread, which
// enters the pod's network for good and must stay until PID 1 has been reaped.
func birth(netns, sock int, extra []int) (*pidOne, error) {
	exe, err := mnt.Sealed()
	if err != nil {
		return nil, err
	}
	defer unix.Close(exe)
	if netns >= 0 {
		if err := unix.Setns(netns, unix.CLONE_NEWNET); err != nil {
			return nil, fmt.Errorf("enter network namespace: %w", err)
		}
	}
	files := []uintptr{0, 1, 2, uintptr(sock)}
	for _, fd := range extra {
		files = append(files, uintptr(fd))
	}
	p := &pidOne{}
	p.pid, err = syscall.ForkExec("/proc/self/fd/"+strconv.Itoa(exe), []string{"rkt-pod-init", "init"}, &syscall.ProcAttr{
		Env:   []string{"GOMAXPROCS=1", "GOTRACEBACK=single"},
		Files: files,
		Sys: &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
			Pdeathsig:  syscall.SIGKILL,
			PidFD:      &p.pidfd,
			Setsid:     true, // the terminal's signals are for the supervisor alone
		},
	})
	if err == nil && p.pidfd < 0 {
		err = errors.New("kernel gives no pidfd (Linux 5.4 or newer is needed)")
	}
	if err != nil {
		return nil, fmt.Errorf("start PID 1 of the pod: %w", err)
	}
	return p, nil
}

// reap waits until the kernel has taken every process of the pod away.
func (p *pidOne) reap() {
	p.reaped.Do(func() {
		for {
			if _, err := unix.Wait4(p.pid, nil, 0, nil); !errors.Is(err, unix.EINTR) {
				return
			}
		}
	})
}

// kill ends PID 1, and so the pod.
func (p *pidOne) kill() error {
	err := unix.PidfdSendSignal(p.pidfd, unix.SIGKILL, nil, 0)
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill PID 1 of the pod: %w", err)
	}
	p.reap()
	return unix.Close(p.pidfd)
}
