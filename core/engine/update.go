package engine

import (
	"context"
	"fmt"

	"github.com/rkt/rkt/v2/core/execute"
	"github.com/rkt/rkt/v2/core/plugin"
	"github.com/rkt/rkt/v2/core/pod"
	"github.com/rkt/rkt/v2/proto/manifest"
	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/proto/reason"
)

// Update changes limits of a running app, by the stage1 that runs it; zero leaves one as it is. What is in force
// afterwards is recorded in the pod directory. It returns the pod's whole UUID.
func (e *Engine) Update(ctx context.Context, prefix, app string, want poddir.Resources) (string, error) {
	id, err := e.Pods.Resolve(prefix)
	if err != nil {
		return "", err
	}
	info, err := e.Pods.Info(id)
	if err != nil {
		return id, err
	}
	if info.State != pod.StateRunning {
		return id, &pod.StateError{UUID: id, Is: info.State, Want: string(pod.StateRunning)}
	}
	if info.Err != nil {
		return id, info.Err
	}
	if app, err = chooseApp(info.Pod.Apps, app); err != nil {
		return id, err
	}
	if s, ok := info.Apps[app]; ok && s.State == poddir.AppExited {
		return id, fmt.Errorf("app %q of pod %s has ended", app, id)
	}
	entry, err := e.pinned(info.Path, kindStage1)
	if err != nil {
		return id, err
	}
	if !entry.Capable(manifest.ServiceStage1, "resources") {
		return id, &plugin.Error{Reason: reason.Unsupported, Message: fmt.Sprintf(
			"stage1 plugin %s of pod %s cannot change limits of a running app (capability resources)", entry.Name, id)}
	}
	return id, e.Pods.ChangeLimits(ctx, id, app, func(now poddir.Resources) (poddir.Resources, error) {
		p, err := e.launchHeld(ctx, entry, plugin.Options{Kind: plugin.KindStage1})
		if err != nil {
			return now, err
		}
		defer p.Close()
		return changed(now, want), execute.Update(ctx, p, info.Path, app, want)
	})
}

// changed is now with what want sets.
func changed(now, want poddir.Resources) poddir.Resources {
	if want.MemoryBytes > 0 {
		now.MemoryBytes = want.MemoryBytes
	}
	if want.CPUMillis > 0 {
		now.CPUMillis = want.CPUMillis
	}
	if want.CPUShares > 0 {
		now.CPUShares = want.CPUShares
	}
	return now
}
