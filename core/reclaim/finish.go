package reclaim

import (
	"errors"
	"fmt"
	"os"

	"github.com/rkt/rkt/v2/core/pod"
	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/poddir"
)

// Adopt takes over the pod of the supervisor that this process was until its last execve.
func Adopt(pods *pod.Pods, id string, fds launch.FDs) (*pod.Pod, error) {
	fd, ok := fds[launch.FDLock]
	if !ok {
		return nil, errors.New("rkt finish is run by a pod's supervisor, not by hand (rkt gc cleans up after pods that were killed)")
	}
	return pods.Adopt(os.NewFile(uintptr(fd), id), id)
}

// StatusUnknown is the exit status of a pod whose own is not known: rkt's for what did not work. A supervisor of a
// service must not take that for success.
const StatusUnknown = 254

// Finish ends a pod in order: what plugins hold for it, its cgroup and, with --rm, its directory. It returns the
// pod's exit status, whatever the error, which says what is left for gc. plugins may be nil.
func Finish(p *pod.Pod, plugins func() error) (int, error) {
	var exit poddir.PodExit
	if err := poddir.ReadJSON(p.Path(), poddir.ExitFile, &exit); err != nil {
		return StatusUnknown, err
	}
	var rt poddir.Runtime
	if err := poddir.ReadJSON(p.Path(), poddir.RuntimeFile, &rt); err != nil {
		return exit.Code, err
	}
	left := giveBack(p, rt.Remove, plugins)
	if left != nil {
		left = fmt.Errorf("pod %s: %w (rkt gc tries again)", p.UUID, left)
	}
	if !rt.Remove {
		return exit.Code, left
	}
	if err := p.MoveTo(pod.ExitedGarbage); err != nil || left != nil {
		return exit.Code, errors.Join(left, err) // the directory says what is left: gc needs it
	}
	return exit.Code, p.Delete()
}

// giveBack releases what the pod holds outside its directory. While a plugin is at work, which takes tens of
// milliseconds, core does its own part, and with remove begins to delete.
func giveBack(p *pod.Pod, remove bool, plugins func() error) error {
	if plugins == nil {
		return Cgroup(p.Path())
	}
	held := make(chan error, 1)
	go func() { held <- plugins() }()
	err := Cgroup(p.Path())
	if remove {
		err = errors.Join(err, p.Strip())
	}
	return errors.Join(err, <-held)
}
