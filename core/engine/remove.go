package engine

import (
	"context"
	"errors"
	"fmt"
	"os"

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
	to := pod.Garbage
	if p.Section() == pod.Run || p.Section() == pod.ExitedGarbage {
		e.release(ctx, p, nil)
		to = pod.ExitedGarbage
	}
	if p.Section() != to {
		if err := p.MoveTo(to); err != nil {
			return id, err
		}
	}
	return id, p.Delete()
}

// saveUUID writes --uuid-file-save, as soon as the pod directory exists.
func saveUUID(path, uuid string) error {
	if path == "" {
		return nil
	}
	if err := os.WriteFile(path, []byte(uuid), 0o644); err != nil {
		return fmt.Errorf("save pod UUID: %w", err)
	}
	return nil
}
