package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/rkt/rkt/v2/core/execute"
	"github.com/rkt/rkt/v2/core/plugin"
	"github.com/rkt/rkt/v2/core/pod"
	"github.com/rkt/rkt/v2/proto/poddir"
)

// Enter becomes a program inside a running app. It returns only on error.
func (e *Engine) Enter(ctx context.Context, prefix, app string, argv []string, tty bool) error {
	id, err := e.Pods.Resolve(prefix)
	if err != nil {
		return err
	}
	info, err := e.Pods.Info(id)
	if err != nil {
		return err
	}
	if info.State != pod.StateRunning {
		return &pod.StateError{UUID: id, Is: info.State, Want: string(pod.StateRunning)}
	}
	if info.Err != nil {
		return info.Err
	}
	if app, err = chooseApp(info.Pod.Apps, app); err != nil {
		return err
	}
	entry, err := e.pinned(info.Path, kindStage1)
	if err != nil {
		return err
	}
	p, err := e.launchHeld(ctx, entry, plugin.Options{Kind: plugin.KindStage1})
	if err != nil {
		return err
	}
	plan, err := execute.Enter(ctx, p, info.Path, app, argv, tty)
	if cerr := p.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return execute.Become(entry.Entry, plan, info.Path, nil)
}

// AppError says that a pod has no app of that name.
type AppError struct {
	App  string
	Apps []string
}

func (e *AppError) Error() string {
	return fmt.Sprintf("the pod has no app %q; its apps are %s", e.App, strings.Join(e.Apps, ", "))
}

func chooseApp(apps []poddir.App, want string) (string, error) {
	var names []string
	for _, a := range apps {
		if a.Name == want {
			return want, nil
		}
		names = append(names, a.Name)
	}
	if want != "" {
		return "", &AppError{App: want, Apps: names}
	}
	if len(names) == 0 {
		return "", errors.New("the pod has no apps")
	}
	if len(names) != 1 {
		return "", fmt.Errorf("the pod has several apps; choose one with --app: %s", strings.Join(names, ", "))
	}
	return names[0], nil
}
