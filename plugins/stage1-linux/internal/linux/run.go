package linux

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/linuxpod"
	"github.com/rkt/rkt/v2/sdk/plugin"
	"github.com/rkt/rkt/v2/sdk/stage1"
)

// Supervisor is the program beside the plugin's binary that core becomes.
const Supervisor = "rkt-stage1-linux-supervisor"

// Stage1 runs pods in Linux namespaces.
type Stage1 struct {
	stage1.Base // Stop: the supervisor's control socket

	cacheDir string // of compiled filters; empty: the host's
}

var (
	_ stage1.Stage1     = (*Stage1)(nil)
	_ plugin.Configurer = (*Stage1)(nil)
	_ stage1.Enterer    = (*Stage1)(nil)
	_ stage1.Stopper    = (*Stage1)(nil)
	_ stage1.Statser    = (*Stage1)(nil)
	_ stage1.Resizer    = (*Stage1)(nil)
)

// Configure takes the cache directory; the flavor has no settings.
func (s *Stage1) Configure(_ context.Context, c plugin.Config) ([]plugin.Diagnostic, error) {
	if len(c.JSON) > 0 {
		return nil, plugin.ConfigInvalid("stage1-linux has no configuration: remove its file")
	}
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
	err := linuxpod.Prepare(ctx, linuxpod.Options{
		PodDir: req.PodDir, Pod: pod, Runtime: rt, FilterCache: s.filterCache(), Debug: req.Debug,
	})
	if err != nil {
		return stage1.ExecPlan{}, err
	}
	return stage1.ExecPlan{
		Program: Supervisor, Args: []string{"supervise"},
		// One thread at a time does what a supervisor has to do, and wakes no other for it.
		Env:     map[string]string{"GOMAXPROCS": "1"},
		KeepFDs: []string{launch.FDLock, launch.FDNetns},
	}, nil
}

// filterCache is where compiled filters are kept between pods.
func (s *Stage1) filterCache() string {
	if s.cacheDir == "" {
		return ""
	}
	return filepath.Join(s.cacheDir, "seccomp")
}

// Enter names the program that joins an app.
func (s *Stage1) Enter(_ context.Context, req stage1.EnterRequest) (stage1.ExecPlan, error) {
	if err := running(req.PodDir, req.App); err != nil {
		return stage1.ExecPlan{}, err
	}
	return req.Plan(Supervisor), nil
}

// running refuses what is asked of an app that is not there.
func running(podDir, app string) error {
	apps, err := linuxpod.Apps(podDir)
	if errors.Is(err, os.ErrNotExist) {
		return stage1.PodNotRunning("pod has not been started")
	}
	if err != nil {
		return err
	}
	if !slices.Contains(apps, app) {
		return stage1.AppNotFound("pod has no app %q", app)
	}
	return stage1.Running(podDir)
}

// UpdateResources writes the app's cgroups.
func (s *Stage1) UpdateResources(ctx context.Context, req stage1.Resources) error {
	if err := running(req.PodDir, req.App); err != nil {
		return err
	}
	err := linuxpod.Update(ctx, req.PodDir, req.App, req.Limits())
	var inUse *linuxpod.InUseError
	switch {
	case errors.As(err, &inUse):
		return plugin.Busy("%v", err)
	case err != nil:
		return stage1.PodUnsupported("%v", err)
	}
	return nil
}

// Stats reads the apps' cgroups.
func (s *Stage1) Stats(_ context.Context, podDir string) ([]stage1.AppStats, error) {
	usage, err := linuxpod.Stats(podDir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, stage1.PodNotRunning("pod has not been started: %v", err)
	}
	if err != nil {
		return nil, err
	}
	var out []stage1.AppStats
	for _, u := range usage {
		out = append(out, stage1.AppStats{App: u.App, MemoryBytes: u.MemoryBytes, CPU: cpu(u.CPUNanoseconds), PIDs: u.Pids})
	}
	return out, nil
}

func cpu(ns uint64) time.Duration { return time.Duration(min(ns, math.MaxInt64)) }
