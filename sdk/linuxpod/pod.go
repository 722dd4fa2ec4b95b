package linuxpod

import (
	"context"
	"fmt"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/limits"
	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/plan"
)

// Apps names the apps of a pod that was prepared. The error is os.ErrNotExist when it never was.
func Apps(podDir string) ([]string, error) {
	p, err := plan.Read(podDir)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(p.Apps))
	for i := range p.Apps {
		names[i] = p.Apps[i].Name
	}
	return names, nil
}

// CgroupDirs returns the app's own cgroups: the directory per controller on v1, or the one of key "" on v2.
func CgroupDirs(podDir, app string) (map[string]string, error) {
	p, err := plan.Read(podDir)
	if err != nil {
		return nil, err
	}
	a := p.App(app)
	if a == nil {
		return nil, fmt.Errorf("pod has no app %q", app)
	}
	return a.Cgroup.Dirs, nil
}

// Usage is what an app uses now. A figure whose controller is missing is zero.
type Usage struct {
	App            string
	MemoryBytes    uint64
	CPUNanoseconds uint64
	Pids           uint64
}

// Stats reads the apps' cgroups.
func Stats(podDir string) ([]Usage, error) {
	p, err := plan.Read(podDir)
	if err != nil {
		return nil, err
	}
	var out []Usage
	for i := range p.Apps {
		u, err := limits.Stats(limits.AppCgroup{Version: p.Apps[i].Cgroup.Version, Dirs: p.Apps[i].Cgroup.Dirs})
		if err != nil {
			return nil, fmt.Errorf("app %q: %w", p.Apps[i].Name, err)
		}
		out = append(out, Usage{App: p.Apps[i].Name, MemoryBytes: u.MemoryBytes, CPUNanoseconds: u.CPUNanoseconds, Pids: u.Pids})
	}
	return out, nil
}

// InUseError says that an app uses more memory than the limit that Update was to set; nothing has been changed.
type InUseError = limits.InUseError

// Update changes limits of a running app, all that are asked for or none; zero leaves one as it is. Errors begin with
// the field ("app.memory: ...") and are os.ErrNotExist when the pod was never prepared.
func Update(ctx context.Context, podDir, app string, r poddir.Resources) error {
	p, err := plan.Read(podDir)
	if err != nil {
		return err
	}
	a := p.App(app)
	if a == nil {
		return fmt.Errorf("pod has no app %q", app)
	}
	return limits.Update(ctx, limits.AppCgroup{Version: a.Cgroup.Version, Dirs: a.Cgroup.Dirs}, r)
}

// CapNames names the capabilities of a mask.
func CapNames(mask uint64) []string { return plan.CapNames(mask) }
