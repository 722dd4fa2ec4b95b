package engine

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/rkt/rkt/v2/core/cgroup"
	"github.com/rkt/rkt/v2/core/execute"
	"github.com/rkt/rkt/v2/core/network"
	"github.com/rkt/rkt/v2/core/plugin"
	"github.com/rkt/rkt/v2/core/pod"
	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/poddir"
)

// Run prepares a pod and becomes its supervisor: the same process, from here on the pod. It returns only when
// something went wrong, and then the pod is gone.
func (e *Engine) Run(ctx context.Context, spec PodSpec, opts RunOptions) error {
	p, stage1, err := e.prepare(ctx, spec, opts.UUIDFileSave)
	if err != nil {
		return err
	}
	err = e.start(ctx, p, stage1, opts)
	discard(p)
	return err
}

// RunPrepared becomes the supervisor of a prepared pod. When the start fails the pod stays, exited.
func (e *Engine) RunPrepared(ctx context.Context, prefix string, opts RunOptions) error {
	id, err := e.Pods.Resolve(prefix)
	if err != nil {
		return err
	}
	p, err := e.Pods.Lock(id)
	if errors.Is(err, pod.ErrLocked) || err == nil && p.Section() != pod.Prepared {
		if p != nil {
			p.Close()
		}
		info, ierr := e.Pods.Info(id)
		if ierr != nil {
			return ierr
		}
		return &pod.StateError{UUID: id, Is: info.State, Want: string(pod.StatePrepared)}
	}
	if err != nil {
		return err
	}
	defer p.Close()
	stage1, err := e.pinned(p.Path(), kindStage1)
	if err != nil {
		return err
	}
	return e.start(ctx, p, stage1, opts)
}

// start is the life of a pod up to its supervisor, step by step. Everything that it makes outside the pod
// directory is undone when a later step fails.
func (e *Engine) start(ctx context.Context, p *pod.Pod, stage1 *plugin.Entry, opts RunOptions) (err error) {
	var desc poddir.Pod
	if err := poddir.ReadJSON(p.Path(), poddir.PodFile, &desc); err != nil {
		return err
	}
	if err := p.MoveTo(pod.Run); err != nil {
		return err
	}
	s := &starting{engine: e, pod: p, desc: &desc, opts: opts, stage1: stage1}
	defer s.undo()

	if err := s.launch(ctx); err != nil {
		return err
	}
	if err := s.validate(ctx); err != nil {
		return err
	}
	if err := s.connect(ctx); err != nil {
		return err
	}
	if err := s.record(); err != nil {
		return err
	}
	plan, err := execute.Run(ctx, s.stage1Proc, p.Path(), p.UUID, e.Config.Debug)
	if err != nil {
		return err
	}
	if err := s.reap(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil { // Ctrl-C until now; from here on the supervisor takes it
		return err
	}
	return execute.Become(stage1, plan, p.Path(), s.fds())
}

// starting is a pod between prepared and its supervisor.
type starting struct {
	engine *Engine
	pod    *pod.Pod
	desc   *poddir.Pod
	opts   RunOptions
	stage1 *plugin.Entry

	netns      *os.File
	network    *plugin.Entry
	stage1Proc *plugin.Process
	netProc    *plugin.Process
	runtime    poddir.Runtime
}

// launch makes the network namespace and starts the plugins side by side: each costs some milliseconds of
// exec and handshake, and neither needs the other.
func (s *starting) launch(ctx context.Context) error {
	e := s.engine
	if s.opts.Network != poddir.NetworkHost {
		var err error
		if s.netns, err = network.NewNamespace(); err != nil {
			return err
		}
	}
	started := make(chan error, 1)
	go func() {
		var err error
		s.stage1Proc, err = e.launch(ctx, s.stage1, plugin.Options{Kind: plugin.KindStage1, FDs: network.FDs(s.netns)})
		started <- err
	}()
	neterr := s.launchNetwork(ctx)
	return errors.Join(<-started, neterr)
}

func (s *starting) launchNetwork(ctx context.Context) error {
	if s.opts.Network != poddir.NetworkPlugin {
		return nil
	}
	e := s.engine
	entry, err := e.Plugins().Network()
	if err != nil {
		return err
	}
	if s.network, err = e.pinPlugins(s.pod, map[string]*plugin.Entry{kindNetwork: entry}); err != nil {
		return err
	}
	s.netProc, err = e.launch(ctx, s.network, plugin.Options{Kind: plugin.KindNetwork, FDs: network.FDs(s.netns)})
	return err
}

func (s *starting) validate(ctx context.Context) error {
	warnings, err := execute.Validate(ctx, s.stage1Proc, s.desc.Stage1, s.pod.Path())
	for _, w := range warnings {
		s.engine.Observer.warn("%s", w)
	}
	return err
}

// connect is the network step.
func (s *starting) connect(ctx context.Context) error {
	s.runtime.Network = poddir.Network{Mode: s.opts.Network}
	if s.opts.Network != poddir.NetworkPlugin {
		if len(s.desc.Ports) > 0 {
			return fmt.Errorf("--port publishes ports of a pod with a network of its own, not with --net=%s", s.opts.Network)
		}
		return nil
	}
	var err error
	s.runtime.Network, err = network.Setup(ctx, s.netProc, network.Pod{
		UUID: s.pod.UUID, Dir: s.pod.Path(), Hostname: s.desc.Hostname, Requests: s.opts.Networks, Ports: s.desc.Ports,
	}, s.engine.networkDirs())
	return err
}

func (e *Engine) networkDirs() network.Dirs {
	return network.Dirs{
		Shared: e.Config.Dir + "/network",
		Config: []string{e.Config.LocalConfig + "/net.d", e.Config.SystemConfig + "/net.d"},
	}
}

// record makes the pod's cgroup and writes what only this start knows.
func (s *starting) record() error {
	e := s.engine
	id := s.opts.Identity
	id.Hostname = s.desc.Hostname
	if err := network.WriteIdentity(s.pod.Path(), id, s.runtime.Network); err != nil {
		return err
	}
	cg, err := cgroup.Create(s.pod.UUID)
	if err != nil {
		return err
	}
	s.runtime.Schema = poddir.Schema
	s.runtime.DataDir = e.Config.Dir
	s.runtime.Cgroup = cg
	s.runtime.Finish = append(append([]string{e.exe}, e.globalArgs()...), "finish", s.pod.UUID)
	s.runtime.Remove = s.opts.Remove
	s.runtime.Detached = s.opts.Detached
	s.runtime.GraceSeconds = int(e.Config.StopGrace.Seconds())
	s.runtime.Debug = e.Config.Debug
	if s.opts.Detached {
		if err := os.MkdirAll(s.pod.Path()+"/"+poddir.LogsDir, 0o750); err != nil {
			return fmt.Errorf("make log directory: %w", err)
		}
	}
	return poddir.WriteJSON(s.pod.Path(), poddir.RuntimeFile, s.runtime)
}

// reap ends the plugins. Nothing may be left when this process becomes the supervisor: it would find children
// that it knows nothing of.
func (s *starting) reap() error {
	var errs []error
	for _, p := range []**plugin.Process{&s.stage1Proc, &s.netProc} {
		if *p != nil {
			errs = append(errs, (*p).Close())
			*p = nil
		}
	}
	return errors.Join(errs...)
}

// fds are what the supervisor may keep. The lock goes to no plugin: one that outlives a killed rkt by the moment
// that its lifeline takes would make the pod look running.
func (s *starting) fds() []plugin.FD {
	fds := []plugin.FD{{Name: launch.FDLock, File: s.pod.LockFile()}}
	return append(fds, network.FDs(s.netns)...)
}

// undo runs only when the start has failed: Become does not return otherwise.
func (s *starting) undo() {
	if err := s.reap(); err != nil {
		s.engine.Observer.warn("%v", err)
	}
	s.engine.release(context.Background(), s.pod, s.netns)
	if s.netns != nil {
		s.netns.Close()
	}
}
