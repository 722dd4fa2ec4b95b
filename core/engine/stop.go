package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rkt/rkt/v2/core/execute"
	"github.com/rkt/rkt/v2/core/plugin"
	"github.com/rkt/rkt/v2/core/pod"
	"github.com/rkt/rkt/v2/core/reclaim"
)

// ErrAlreadyStopped says that there was nothing to stop; a success for most callers.
var ErrAlreadyStopped = errors.New("already stopped")

// killWait is how long after the apps' grace time, or after SIGKILL, a pod may take to let go of its lock.
const killWait = 5 * time.Second

// Stop ends a running pod and returns when it has ended. Without force each app gets its stop signal and its
// grace time; when the stage1 cannot be asked its supervisor is, and when the pod does not end in time it is killed.
func (e *Engine) Stop(ctx context.Context, prefix string, force bool) (string, error) {
	id, err := e.Pods.Resolve(prefix)
	if err != nil {
		return "", err
	}
	info, err := e.Pods.Info(id)
	if err != nil {
		return id, err
	}
	switch info.State {
	case pod.StateRunning:
	case pod.StateExited, pod.StateExitedGarbage, pod.StateDeleting:
		return id, ErrAlreadyStopped
	default:
		return id, &pod.StateError{UUID: id, Is: info.State, Want: string(pod.StateRunning)}
	}
	if !force {
		grace := e.Config.StopGrace
		if info.Runtime != nil {
			grace = time.Duration(info.Runtime.GraceSeconds) * time.Second
		}
		err := e.askToStop(ctx, info)
		if err != nil && ctx.Err() == nil {
			e.Observer.warn("pod %s: %v; asking its supervisor instead", id, err)
			err = reclaim.AskSupervisor(e.Pods, id)
		}
		if err != nil {
			e.Observer.warn("pod %s: %v; killing it", id, err)
		} else if err := e.waitEnd(ctx, id, grace+killWait); err == nil || ctx.Err() != nil {
			return id, err
		}
	}
	return id, e.kill(ctx, id)
}

// kill needs no plugin. The supervisor gets the chance to see its apps dead and to end in order.
func (e *Engine) kill(ctx context.Context, id string) error {
	err := reclaim.KillApps(e.Pods, id)
	if err == nil {
		err = e.waitEnd(ctx, id, killWait)
	}
	if err == nil || isGone(err) {
		return nil
	}
	if ctx.Err() != nil {
		return err
	}
	if err := reclaim.KillSupervisor(e.Pods, id); err != nil && !isGone(err) {
		return err
	}
	return e.waitEnd(ctx, id, killWait)
}

func (e *Engine) askToStop(ctx context.Context, info *pod.Info) error {
	entry, err := e.pinned(info.Path, kindStage1)
	if err != nil {
		return err
	}
	p, err := e.launchHeld(ctx, entry, plugin.Options{Kind: plugin.KindStage1})
	if err != nil {
		return err
	}
	defer p.Close()
	return execute.Stop(ctx, p, info.Path, 0)
}

func (e *Engine) waitEnd(ctx context.Context, id string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := e.Pods.Wait(ctx, id)
	var gone *pod.NotFoundError
	if errors.As(err, &gone) {
		return nil // --rm
	}
	if err != nil {
		return fmt.Errorf("wait for pod %s to end: %w", id, err)
	}
	return nil
}
