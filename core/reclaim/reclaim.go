// Package reclaim is the floor that works with no plugin able to start: killing a pod, removing its cgroup,
// moving and deleting its directory.
//
// It owns what core itself made for a pod. What a plugin made outside the pod directory is that plugin's to
// remove; core/engine asks it first, and goes on here whatever it answered.
package reclaim

import (
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/core/cgroup"
	"github.com/rkt/rkt/v2/core/pod"
	"github.com/rkt/rkt/v2/proto/poddir"
)

// KillApps ends every process of a running pod but its supervisor, which then ends in order: with the pod's
// status, and its network torn down.
func KillApps(pods *pod.Pods, id string) error {
	info, err := pods.Info(id)
	if err != nil {
		return err
	}
	if info.State != pod.StateRunning || info.Runtime == nil {
		return nil
	}
	return cgroup.Kill(info.Runtime.Cgroup)
}

// KillSupervisor ends a running pod whatever state its processes are in: the supervisor's death takes the pod's
// init, and so its PID namespace, with it. What it held outside is left to gc.
func KillSupervisor(pods *pod.Pods, id string) error { return signal(pods, id, unix.SIGKILL) }

// AskSupervisor has the supervisor stop the pod in order (proto/poddir: SIGTERM does), without any plugin.
func AskSupervisor(pods *pod.Pods, id string) error { return signal(pods, id, unix.SIGTERM) }

// signal sends the supervisor of a running pod a signal. A pod that has ended is a success.
func signal(pods *pod.Pods, id string, sig unix.Signal) error {
	info, err := pods.Info(id)
	if err != nil {
		return err
	}
	if info.State != pod.StateRunning {
		return nil
	}
	if info.Pid == 0 {
		return fmt.Errorf("signal pod %s: it has no supervisor yet; try again in a moment", id)
	}
	// The pid in the file counts only while its writer lives, and it lives while it holds the lock: so get hold
	// of the process first and ask for the lock after that.
	fd, err := unix.PidfdOpen(info.Pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("signal pod %s: %w", id, err)
	}
	defer unix.Close(fd)
	again, err := pods.Info(id)
	if err != nil || again.State != pod.StateRunning || again.Pid != info.Pid {
		return nil //nolint:nilerr // it ended, or was removed, meanwhile
	}
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("signal pod %s: %w", id, err)
	}
	return nil
}

// Cgroup kills what is left in a dead pod's cgroup and removes it. The caller holds the pod's lock.
func Cgroup(podDir string) error {
	var rt poddir.Runtime
	if err := poddir.ReadJSON(podDir, poddir.RuntimeFile, &rt); err != nil {
		// Its start was cut short, perhaps between the cgroup's making and its record, or the record was lost with
		// the power.
		if rt.Cgroup, err = cgroup.Find(filepath.Base(podDir)); err != nil {
			return err
		}
	}
	// Nearly always nothing is left that could be killed: the pod's PID namespace has ended with its supervisor.
	if err := cgroup.Remove(rt.Cgroup); !errors.Is(err, unix.EBUSY) {
		return err
	}
	if err := cgroup.Kill(rt.Cgroup); err != nil {
		return err
	}
	return cgroup.Remove(rt.Cgroup)
}

// Move takes a pod that nobody works on from one section to another.
func Move(pods *pod.Pods, id string, from, to pod.Section) error {
	p, err := pods.Lock(id)
	if err != nil {
		return err
	}
	defer p.Close()
	if p.Section() != from {
		return pod.ErrLocked // it has moved on; not ours any more
	}
	return p.MoveTo(to)
}
