package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// removeTime bounds the wait for processes that are on their way out.
const removeTime = 2 * time.Second

// Remove removes the pod's cgroups with everything below. It ends nobody: with a process left it waits a
// little and then fails with EBUSY, and another try may succeed. Of one directory that cannot be removed the
// others are not left behind.
func Remove(c poddir.Cgroup) error {
	ds, err := dirs(c)
	if err != nil {
		return fmt.Errorf("remove cgroup: %w", err)
	}
	deadline := time.Now().Add(removeTime)
	var errs []error
	for _, d := range ds {
		if err := removeTree(d, deadline); err != nil {
			errs = append(errs, fmt.Errorf("remove cgroup: %w", err))
		}
	}
	return errors.Join(errs...)
}

func removeTree(dir string, deadline time.Time) error {
	if err := unix.Rmdir(dir); err == nil || gone(err) {
		return nil
	}
	subs, err := tree(dir)
	if err != nil {
		return err
	}
	slices.Reverse(subs)
	for _, sub := range subs {
		if err := removeOne(sub, deadline); err != nil {
			return &os.PathError{Op: "rmdir", Path: sub, Err: err}
		}
	}
	return nil
}

// removeOne retries EBUSY for as long as processes are leaving.
func removeOne(dir string, deadline time.Time) error {
	for {
		err := unix.Rmdir(dir)
		if err == nil || gone(err) {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.EINTR) {
			return err
		}
		if time.Now().After(deadline) {
			return err
		}
		waitEmpty(dir, deadline)
	}
}

// waitEmpty returns when dir may be empty: v2 says so, on v1 the exit of one of its processes is waited for.
// When there is none to wait for, the kernel is about to let go of the cgroup and says so to nobody: a
// millisecond.
func waitEmpty(dir string, deadline time.Time) {
	if exists(filepath.Join(dir, "cgroup.events")) {
		waitUnpopulated(dir, deadline)
	} else if pids, err := readProcs(dir); err == nil && len(pids) > 0 && pids[0] > 0 {
		if fd, err := unix.PidfdOpen(pids[0], 0); err == nil {
			waitExit([]int{fd}, deadline)
			return
		}
	}
	_ = unix.Nanosleep(&unix.Timespec{Nsec: 1_000_000}, nil)
}

// waitUnpopulated waits until no live process is in a v2 cgroup or below. The kernel raises POLLPRI on
// cgroup.events at each change since the last read.
func waitUnpopulated(dir string, deadline time.Time) bool {
	f, err := os.Open(filepath.Join(dir, "cgroup.events"))
	if err != nil {
		return gone(err)
	}
	defer f.Close()
	for {
		var b [256]byte
		n, err := f.ReadAt(b[:], 0)
		if n == 0 && err != nil {
			return gone(err)
		}
		if !populated(b[:n]) {
			return true
		}
		ms := int(time.Until(deadline).Milliseconds())
		if ms <= 0 {
			return false
		}
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLPRI}}, ms)
	}
}
