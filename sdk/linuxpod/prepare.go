package linuxpod

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/limits"
	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/plan"
	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/seccomp"
)

// Options say what Prepare prepares.
type Options struct {
	PodDir  string
	Pod     *poddir.Pod
	Runtime *poddir.Runtime
	// FilterCache is a directory, which only root may write to, where compiled filters are kept between pods.
	// Empty: they are kept in the pod directory.
	FilterCache string
	// Streams are the descriptors of PID 1 that an app has as its own, by app. An app without an entry has PID
	// 1's own 0, 1 and 2, or its log (poddir.Runtime.Detached).
	Streams map[string]Streams
	Debug   bool
}

// Streams are descriptors of PID 1 of the pod (host.FirstExtra and up).
type Streams = plan.Streams

// Prepare makes the apps' cgroups, filters and the plan in the pod directory. The same call after a kill at any
// moment leads to the same end.
func Prepare(ctx context.Context, o Options) error {
	p := &plan.Plan{
		Schema: plan.Schema, UUID: o.Pod.UUID, Hostname: o.Pod.Hostname, Volumes: o.Pod.Volumes,
		Volatile: o.Runtime.Remove, Detached: o.Runtime.Detached, Debug: o.Debug || o.Runtime.Debug,
	}
	if err := os.MkdirAll(filepath.Join(o.PodDir, poddir.Stage1Dir), 0o750); err != nil {
		return err
	}
	if o.FilterCache == "" {
		o.FilterCache = filepath.Join(o.PodDir, poddir.Stage1Dir)
	}
	for i := range o.Pod.Apps {
		app, warnings, err := o.app(ctx, p, &o.Pod.Apps[i])
		if err != nil {
			return fmt.Errorf("app %q: %w", o.Pod.Apps[i].Name, err)
		}
		p.Apps = append(p.Apps, app)
		p.Warnings = append(p.Warnings, warnings...)
	}
	return p.Write(o.PodDir)
}

func (o *Options) app(ctx context.Context, p *plan.Plan, app *poddir.App) (plan.App, []string, error) {
	out := plan.App{App: *app}
	if s, ok := o.Streams[app.Name]; ok {
		out.Streams = &s
	}
	var err error
	if out.Caps, err = plan.CapMask(app.Capabilities); err != nil {
		return out, nil, err
	}
	cg, warnings, err := limits.Apply(ctx, o.Runtime.Cgroup, app, o.Pod.Volumes...)
	if err != nil {
		return out, nil, err
	}
	out.Cgroup = plan.Cgroup{Version: cg.Version, Dirs: cg.Dirs}
	filter, err := seccomp.Filter(app.Seccomp.Mode, app.Capabilities, runtime.GOARCH, o.FilterCache)
	if err != nil {
		return out, nil, err
	}
	if len(filter) > 0 {
		out.Filter = p.AddFilter(filter)
	}
	return out, warnings, nil
}
