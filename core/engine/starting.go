package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rkt/rkt/v2/core/cgroup"
	"github.com/rkt/rkt/v2/core/execute"
	"github.com/rkt/rkt/v2/core/network"
	"github.com/rkt/rkt/v2/core/plugin"
	"github.com/rkt/rkt/v2/core/pod"
	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/manifest"
	"github.com/rkt/rkt/v2/proto/poddir"
)

// starting is a pod between prepared and its supervisor.
type starting struct {
	engine *Engine
	pod    *pod.Pod
	desc   poddir.Pod
	opts   RunOptions

	netnsMade  chan struct{} // closed when the network namespace has been made or could not be
	netns      *os.File
	netnsErr   error
	launched   chan struct{} // closed when every plugin has started or failed to
	launchErr  error
	inCgroup   chan struct{} // closed when the pod's cgroup has been made or could not be
	cgroupErr  error
	stage1Proc *plugin.Process
	netProc    *plugin.Process
	netPin     *held
	cleanup    bool // the stage1 holds things outside the pod directory
	runtime    poddir.Runtime
}

// starting begins with the network namespace, which nothing else has to come before.
func (e *Engine) starting(opts RunOptions) *starting {
	s := &starting{engine: e, opts: opts, netnsMade: make(chan struct{})}
	go func() {
		defer close(s.netnsMade)
		if opts.Network != poddir.NetworkHost {
			s.netns, s.netnsErr = network.NewNamespace()
		}
	}()
	return s
}

// launch starts the plugins side by side, while the caller goes on with images and the pod's directory: each plugin
// costs some milliseconds of exec and handshake, and needs nothing of the pod yet.
func (s *starting) launch(ctx context.Context, stage1 *held) {
	s.launched = make(chan struct{})
	s.cleanup = stage1.Capable(manifest.ServiceStage1, "cleanup")
	go func() {
		defer close(s.launched)
		if <-s.netnsMade; s.netnsErr != nil {
			s.launchErr = s.netnsErr
			return
		}
		var g errgroup.Group
		g.Go(func() (err error) {
			s.stage1Proc, err = s.engine.launchHeld(ctx, stage1, plugin.Options{Kind: plugin.KindStage1, FDs: network.FDs(s.netns)})
			return err
		})
		g.Go(func() error { return s.launchNetwork(ctx) })
		s.launchErr = g.Wait()
	}()
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
	if s.netPin, err = e.pin(entry, plugin.KindNetwork); err != nil {
		return err
	}
	s.netProc, err = e.launchHeld(ctx, s.netPin, plugin.Options{Kind: plugin.KindNetwork, FDs: network.FDs(s.netns)})
	return err
}

// await returns when the plugins are up, and records the network's: from here on gc knows whom to ask.
func (s *starting) await() error {
	if <-s.launched; s.launchErr != nil {
		return s.launchErr
	}
	if s.netProc == nil {
		return nil
	}
	return recordPlugin(s.pod, kindNetwork, s.netPin)
}

// abandon ends plugins that were launched for a pod that did not come to be.
func (s *starting) abandon() {
	<-s.netnsMade
	if s.launched != nil {
		<-s.launched
	}
	if s.inCgroup != nil {
		<-s.inCgroup
	}
	if err := s.reap(); err != nil {
		s.engine.Observer.warn("%v", err)
	}
}

// makeCgroup works beside everything else: a scope costs a round trip to systemd, and a move an RCU grace period.
// Where this process may be moved, that has to wait for the plugins, which have to come along.
func (s *starting) makeCgroup() {
	s.inCgroup = make(chan struct{})
	go func() {
		defer close(s.inCgroup)
		if cgroup.Moves() {
			<-s.launched
		}
		s.runtime.Cgroup, s.cgroupErr = cgroup.Create(s.pod.UUID)
	}()
}

func (s *starting) validate(ctx context.Context) error {
	warnings, err := execute.Validate(ctx, s.stage1Proc, s.desc.Stage1, s.pod.Path())
	for _, w := range warnings {
		s.engine.Observer.warn("%s", w)
	}
	return err
}

// connect is the stage1's look at the pod and the network step. Nothing of the host's is changed for a pod that the
// stage1 refuses; what only the pod's directory is told goes on beside its look. It ends with runtime.json, which
// is what both have come to.
func (s *starting) connect(ctx context.Context) error {
	answer := make(chan error, 1)
	go func() { answer <- s.validate(ctx) }()
	refused := sync.OnceValue(func() error { return <-answer })
	if s.opts.Network == poddir.NetworkPlugin {
		if err := refused(); err != nil {
			return err
		}
	}
	err := s.setup(ctx)
	if err == nil {
		<-s.inCgroup
		err = s.cgroupErr
	}
	if err == nil {
		err = s.record()
	}
	return errors.Join(refused(), err)
}

func (s *starting) setup(ctx context.Context) error {
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

// networkDirs: addresses, links and rules are the host's, whatever data directory a pod lies in, and end with its
// uptime. So all rkt of a host share one record of them, in /run.
func (e *Engine) networkDirs() network.Dirs {
	return network.Dirs{
		Shared: "/run/rkt/network",
		Config: []string{e.Config.LocalConfig + "/net.d", e.Config.SystemConfig + "/net.d"},
	}
}

// record writes what only this start knows.
func (s *starting) record() error {
	e := s.engine
	id := s.opts.Identity
	id.Hostname = s.desc.Hostname
	if err := network.WriteIdentity(s.pod.Path(), id, s.runtime.Network); err != nil {
		return err
	}
	s.runtime.Schema = poddir.Schema
	s.runtime.DataDir = e.Config.Dir
	s.runtime.Finish = e.finishCommand(s.pod.UUID, s.netProc != nil || s.cleanup)
	s.runtime.Remove = s.opts.Remove
	s.runtime.Detached = s.opts.Detached
	s.runtime.GraceSeconds = int((e.Config.StopGrace + time.Second - 1) / time.Second) // never 0, which means default
	s.runtime.Debug = e.Config.Debug
	if s.opts.Detached {
		if err := os.MkdirAll(s.pod.Path()+"/"+poddir.LogsDir, 0o750); err != nil {
			return fmt.Errorf("make log directory: %w", err)
		}
	}
	return s.engine.writeDocument(s.pod.Path(), poddir.RuntimeFile, s.runtime)
}

// reap ends the plugins. Nothing may be left when this process becomes the supervisor: it would find children
// that it knows nothing of.
func (s *starting) reap() error {
	var errs [2]error
	var wg sync.WaitGroup
	for i, p := range []**plugin.Process{&s.stage1Proc, &s.netProc} {
		if *p != nil {
			wg.Go(func() {
				errs[i] = (*p).Close()
				*p = nil
			})
		}
	}
	wg.Wait()
	return errors.Join(errs[:]...)
}

// fds are what the supervisor may keep. The lock goes to no plugin: one that outlives a killed rkt by the moment
// that its lifeline takes would make the pod look running.
func (s *starting) fds() []plugin.FD {
	fds := []plugin.FD{{Name: launch.FDLock, File: s.pod.LockFile()}}
	return append(fds, network.FDs(s.netns)...)
}

// undo runs only when the start has failed: Become does not return otherwise.
func (s *starting) undo() {
	s.abandon()
	if err := s.engine.release(context.Background(), s.pod, s.netns); err != nil {
		s.engine.Observer.warn("pod %s: %v (rkt gc tries again)", s.pod.UUID, err)
		if err := s.pod.MoveTo(pod.ExitedGarbage); err != nil {
			s.engine.Observer.warn("%v", err)
		}
	}
	s.closeNetns()
}

// closeNetns lets the kernel take a network namespace away that has no process.
func (s *starting) closeNetns() {
	if s.netns != nil {
		s.netns.Close()
	}
}

// finishCommand is what the supervisor becomes at the end. A pod for which no plugin holds anything ends by a
// program that links none of what speaks to plugins, if it is installed: rkt itself takes 10 ms more to start.
func (e *Engine) finishCommand(id string, plugins bool) []string {
	light := filepath.Join(filepath.Dir(e.exe), "../lib/rkt/rkt-finish")
	if st, err := os.Stat(light); !plugins && err == nil && st.Mode().IsRegular() {
		return []string{light, e.Config.Dir, id}
	}
	return append(append([]string{e.exe}, e.globalArgs()...), "finish", id)
}
