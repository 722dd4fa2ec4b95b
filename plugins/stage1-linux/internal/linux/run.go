package linux

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/plugins/stage1-linux/internal/limits"
	"github.com/rkt/rkt/v2/plugins/stage1-linux/internal/plan"
	"github.com/rkt/rkt/v2/plugins/stage1-linux/internal/seccomp"
	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/plugin"
	"github.com/rkt/rkt/v2/sdk/stage1"
)

// Supervisor is the program beside the plugin's binary that core becomes.
const Supervisor = "rkt-stage1-linux-supervisor"

// Stage1 runs pods in Linux namespaces.
type Stage1 struct {
	cacheDir string // of compiled filters; empty: the host's
}

var (
	_ stage1.Stage1     = (*Stage1)(nil)
	_ plugin.Configurer = (*Stage1)(nil)
	_ stage1.Enterer    = (*Stage1)(nil)
	_ stage1.Stopper    = (*Stage1)(nil)
	_ stage1.Statser    = (*Stage1)(nil)
	_ stage1.Cleaner    = (*Stage1)(nil)
)

// Configure takes the cache directory; the flavor has no settings.
func (s *Stage1) Configure(_ context.Context, c plugin.Config) ([]plugin.Diagnostic, error) {
	s.cacheDir = c.CacheDir
	return nil, nil
}

// Run makes cgroups, filters and the plan.
func (s *Stage1) Run(ctx context.Context, req stage1.RunRequest) (stage1.ExecPlan, error) {
	pod, rt := new(poddir.Pod), new(poddir.Runtime)
	if err := poddir.ReadJSON(req.PodDir, poddir.PodFile, pod); err != nil {
		return stage1.ExecPlan{}, err
	}
	if err := poddir.ReadJSON(req.PodDir, poddir.RuntimeFile, rt); err != nil {
		return stage1.ExecPlan{}, err
	}
	p := &plan.Plan{
		Schema: plan.Schema, UUID: pod.UUID, Hostname: pod.Hostname, Volumes: pod.Volumes,
		Volatile: rt.Remove, Detached: rt.Detached, Debug: req.Debug || rt.Debug,
	}
	if err := os.MkdirAll(filepath.Join(req.PodDir, poddir.Stage1Dir), 0o750); err != nil {
		return stage1.ExecPlan{}, err
	}
	for i := range pod.Apps {
		app, warnings, err := s.app(ctx, p, rt, pod, &pod.Apps[i], s.filterCache(req.PodDir))
		if err != nil {
			return stage1.ExecPlan{}, fmt.Errorf("app %q: %w", pod.Apps[i].Name, err)
		}
		p.Apps = append(p.Apps, app)
		p.Warnings = append(p.Warnings, warnings...)
	}
	if err := p.Write(req.PodDir); err != nil {
		return stage1.ExecPlan{}, err
	}
	return stage1.ExecPlan{
		Program: Supervisor, Args: []string{"supervise"},
		// One thread at a time does what a supervisor has to do, and wakes no other for it.
		Env:     map[string]string{"GOMAXPROCS": "1"},
		KeepFDs: []string{launch.FDLock, launch.FDNetns},
	}, nil
}

func (s *Stage1) app(ctx context.Context, p *plan.Plan, rt *poddir.Runtime, pod *poddir.Pod, app *poddir.App, cache string) (plan.App, []string, error) {
	out := plan.App{App: *app}
	var err error
	if out.Caps, err = plan.CapMask(app.Capabilities); err != nil {
		return out, nil, err
	}
	cg, warnings, err := limits.Apply(ctx, rt.Cgroup, app, pod.Volumes...)
	if err != nil {
		return out, nil, err
	}
	out.Cgroup = plan.Cgroup{Version: cg.Version, Dirs: cg.Dirs}
	filter, err := seccomp.Filter(app.Seccomp.Mode, app.Capabilities, runtime.GOARCH, cache)
	if err != nil {
		return out, nil, err
	}
	if len(filter) > 0 {
		out.Filter = p.AddFilter(filter)
	}
	return out, warnings, nil
}

// filterCache is where compiled filters are kept between pods; without a cache directory, for this pod's apps.
func (s *Stage1) filterCache(podDir string) string {
	if s.cacheDir != "" {
		return filepath.Join(s.cacheDir, "seccomp")
	}
	return filepath.Join(podDir, poddir.Stage1Dir)
}

// Enter names the program that joins an app.
func (s *Stage1) Enter(_ context.Context, req stage1.EnterRequest) (stage1.ExecPlan, error) {
	p, err := plan.Read(req.PodDir)
	if errors.Is(err, os.ErrNotExist) {
		return stage1.ExecPlan{}, stage1.PodNotRunning("pod has not been started")
	}
	if err != nil {
		return stage1.ExecPlan{}, err
	}
	if p.App(req.App) == nil {
		return stage1.ExecPlan{}, stage1.AppNotFound("pod has no app %q", req.App)
	}
	if held, err := lockHeld(req.PodDir); err != nil || !held {
		return stage1.ExecPlan{}, errors.Join(stage1.PodNotRunning("pod is not running"), err)
	}
	tty := "-"
	if req.TTY {
		tty = "tty"
	}
	args := append([]string{"enter", req.PodDir, req.App, tty, "--"}, req.Command...)
	return stage1.ExecPlan{Program: Supervisor, Args: args}, nil
}

// lockHeld says whether a supervisor has the pod. A shared lock on a description of our own asks without
// taking it from anybody for longer than the question.
func lockHeld(podDir string) (bool, error) {
	fd, err := unix.Open(podDir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	err = unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

// Stats reads the apps' cgroups.
func (s *Stage1) Stats(_ context.Context, podDir string) ([]stage1.AppStats, error) {
	p, err := plan.Read(podDir)
	if err != nil {
		return nil, stage1.PodNotRunning("pod has not been started: %v", err)
	}
	var out []stage1.AppStats
	for i := range p.Apps {
		u, err := limits.Stats(limits.AppCgroup{Version: p.Apps[i].Cgroup.Version, Dirs: p.Apps[i].Cgroup.Dirs})
		if err != nil {
			return nil, fmt.Errorf("app %q: %w", p.Apps[i].Name, err)
		}
		out = append(out, stage1.AppStats{App: p.Apps[i].Name, MemoryBytes: u.MemoryBytes, CPU: cpu(u.CPUNanoseconds), PIDs: u.Pids})
	}
	return out, nil
}

// Cleanup removes the apps' cgroups; core removes the pod's.
func (s *Stage1) Cleanup(_ context.Context, podDir string) error {
	pod, rt := new(poddir.Pod), new(poddir.Runtime)
	if err := poddir.ReadJSON(podDir, poddir.RuntimeFile, rt); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil // never started
		}
		return err
	}
	if err := poddir.ReadJSON(podDir, poddir.PodFile, pod); err != nil {
		return err
	}
	var errs []error
	for i := range pod.Apps {
		errs = append(errs, limits.Remove(rt.Cgroup, pod.Apps[i].Name))
	}
	return errors.Join(errs...)
}
