package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// killTime bounds the wait for processes that got SIGKILL. One in an uninterruptible system call may outlive
// it.
const killTime = 5 * time.Second

var errLeft = errors.New("processes are left that do not die of SIGKILL")

// Kill sends SIGKILL to every process of the pod's apps, also to those that they fork meanwhile, and waits
// for their end. It returns ErrNeedPid when the pod has no cgroup.
func Kill(c poddir.Cgroup) error {
	if len(c.Dirs) == 0 {
		return ErrNeedPid
	}
	ds, err := dirs(c)
	if err != nil {
		return fmt.Errorf("kill pod: %w", err)
	}
	if c.Version == 2 && len(ds) == 1 {
		err := os.WriteFile(filepath.Join(ds[0], "cgroup.kill"), []byte("1"), 0) // since Linux 5.14
		switch {
		case err == nil && !waitUnpopulated(ds[0], time.Now().Add(killTime)):
			return fmt.Errorf("kill pod: %w", errLeft)
		case err == nil || gone(err) && !exists(ds[0]):
			return nil
		}
	}
	if err := killLoop(ds); err != nil {
		return fmt.Errorf("kill pod: %w", err)
	}
	return nil
}

// killLoop is for v1, and for v2 before Linux 5.14: stop forking, kill what is there, look again.
//
// Either of two things stops forks: a limit of no processes, and the freezer. The freezer also keeps pids
// from being reused while they are looked at; without it a pid is checked again after its pidfd is open.
func killLoop(ds []string) error {
	deadline := time.Now().Add(killTime)
	for _, d := range ds {
		if exists(filepath.Join(d, "pids.max")) {
			_ = os.WriteFile(filepath.Join(d, "pids.max"), []byte("0"), 0)
		}
	}
	for {
		freeze(ds, true)
		fds, err := signalAll(ds)
		freeze(ds, false) // a frozen process of v1 does not die before it is thawed
		if err != nil || len(fds) == 0 {
			return err
		}
		waitExit(fds, deadline)
		if time.Now().After(deadline) {
			return errLeft
		}
	}
}

func signalAll(ds []string) (fds []int, err error) {
	pids, err := procs(ds)
	if err != nil {
		return nil, err
	}
	opened := map[int]int{}
	for _, pid := range pids {
		if pid == 0 { // in an outer pid namespace
			continue
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue // it has gone
		}
		opened[pid] = fd
		fds = append(fds, fd)
	}
	again, err := procs(ds)
	if err != nil {
		closeAll(fds)
		return nil, err
	}
	for pid, fd := range opened {
		if slices.Contains(again, pid) {
			_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		}
	}
	return fds, nil
}

// waitExit polls the pidfds, which become readable at exit, whoever reaps, and closes them.
func waitExit(fds []int, deadline time.Time) {
	defer closeAll(fds)
	left := slices.Clone(fds)
	for len(left) > 0 {
		ms := int(time.Until(deadline).Milliseconds())
		if ms <= 0 {
			return
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(left[0]), Events: unix.POLLIN}}, ms)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			return
		}
		left = left[1:]
	}
}

// freeze starts or ends the freezing of the pod where there is a freezer. Freezing is asynchronous and a
// process in the kernel may take long: the wait is short, since the loop comes round anyway.
func freeze(ds []string, on bool) {
	for _, d := range ds {
		name, yes, no, state, frozen := "freezer.state", "FROZEN", "THAWED", "freezer.state", "FROZEN"
		if !exists(filepath.Join(d, name)) {
			name, yes, no, state, frozen = "cgroup.freeze", "1", "0", "cgroup.events", "frozen 1"
		}
		if !exists(filepath.Join(d, name)) {
			continue
		}
		if !on {
			_ = os.WriteFile(filepath.Join(d, name), []byte(no), 0)
			continue
		}
		if os.WriteFile(filepath.Join(d, name), []byte(yes), 0) != nil {
			continue
		}
		for range 20 {
			b, err := os.ReadFile(filepath.Join(d, state))
			if err != nil || bytes.Contains(b, []byte(frozen)) {
				break
			}
			_ = unix.Nanosleep(&unix.Timespec{Nsec: 500_000}, nil) // v1 tells the end of it to nobody
		}
	}
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}
