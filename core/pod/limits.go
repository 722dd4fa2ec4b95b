package pod

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rkt/rkt/v2/core/internal/linux"
	"github.com/rkt/rkt/v2/proto/poddir"
)

// ChangeLimits records what change has put in force for an app of a pod that runs, given what is. One who changes
// limits of the pod waits for another, so that the last record is of the last change.
func (p *Pods) ChangeLimits(ctx context.Context, id, app string, change func(now poddir.Resources) (poddir.Resources, error)) error {
	dir := filepath.Join(p.Dir(Run, id), poddir.LimitsDir)
	if err := os.Mkdir(dir, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("record limits of pod %s: %w", id, err)
	}
	f, err := openDir(dir)
	if err != nil {
		return fmt.Errorf("record limits of pod %s: %w", id, err)
	}
	defer f.Close()
	if err := linux.Lock(ctx, f); err != nil {
		return fmt.Errorf("wait for another update of pod %s: %w", id, err)
	}
	info, err := p.Info(id)
	if err != nil {
		return err
	}
	if info.State != StateRunning {
		return &StateError{UUID: id, Is: info.State, Want: string(StateRunning)}
	}
	if info.Err != nil {
		return info.Err
	}
	for i := range info.Pod.Apps {
		a := &info.Pod.Apps[i]
		if a.Name != app {
			continue
		}
		r, err := change(a.Resources)
		if err != nil {
			return err
		}
		if err := poddir.WriteJSON(dir, app, poddir.Limits{Schema: poddir.Schema, Resources: r}); err != nil {
			return fmt.Errorf("record limits of pod %s, which are in force: %w", id, err)
		}
		return nil
	}
	return fmt.Errorf("pod %s has no app %q", id, app)
}
