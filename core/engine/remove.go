package engine

import (
	"context"
	"errors"

	"github.com/rkt/rkt/v2/core/pod"
)

// Remove deletes a pod that does not run, at once.
func (e *Engine) Remove(ctx context.Context, prefix string) (string, error) {
	id, err := e.Pods.Resolve(prefix)
	if err != nil {
		return "", err
	}
	p, err := e.Pods.Lock(id)
	if errors.Is(err, pod.ErrLocked) {
		info, ierr := e.Pods.Info(id)
		if ierr != nil {
			return id, ierr
		}
		err = &pod.StateError{UUID: id, Is: info.State, Want: "stopped (rkt stop ends it)"}
	}
	if err != nil {
		return id, err
	}
	defer p.Close()
	if p.Section() == pod.Run || p.Section() == pod.ExitedGarbage {
		return id, e.dispose(ctx, p)
	}
	if p.Section() != pod.Garbage {
		if err := p.MoveTo(pod.Garbage); err != nil {
			return id, err
		}
	}
	return id, p.Delete()
}
