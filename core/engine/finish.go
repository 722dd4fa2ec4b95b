package engine

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/rkt/rkt/v2/core/execute"
	"github.com/rkt/rkt/v2/core/network"
	"github.com/rkt/rkt/v2/core/plugin"
	"github.com/rkt/rkt/v2/core/pod"
	"github.com/rkt/rkt/v2/core/reclaim"
	"github.com/rkt/rkt/v2/proto/launch"
)

// Finish ends a pod in order. It runs in the supervisor's process, which has become `rkt finish` and still holds
// the lock; what it returns is the pod's exit status.
func (e *Engine) Finish(ctx context.Context, id string, fds launch.FDs) (int, error) {
	p, err := reclaim.Adopt(e.Pods, id, fds)
	if err != nil {
		return reclaim.StatusUnknown, err
	}
	defer p.Close()
	var netns *os.File
	if fd, ok := fds[launch.FDNetns]; ok {
		netns = os.NewFile(uintptr(fd), "netns")
		defer netns.Close()
	}
	// A network plugin's end takes the kernel some 10 ms when rules went: an RCU grace period, in which the pod's
	// directory can go, too.
	var networkPlugin *plugin.Process
	defer func() { networkPlugin.Close() }()
	return reclaim.Finish(p, func() error {
		var err error
		networkPlugin, err = e.teardown(ctx, p, netns)
		go networkPlugin.Close()
		return errors.Join(err, e.releaseStage1(ctx, p))
	})
}

// release gives back what a pod holds outside its directory: network, the stage1's own things, cgroup. The
// caller holds the lock and no process of the pod is wanted any more. Each part is tried whatever became of the
// others, and what is released already costs nothing; the error is what is left for gc.
func (e *Engine) release(ctx context.Context, p *pod.Pod, netns *os.File) error {
	return errors.Join(reclaim.Cgroup(p.Path()), e.releasePlugins(ctx, p, netns))
}

// releasePlugins is the part that a plugin must do.
func (e *Engine) releasePlugins(ctx context.Context, p *pod.Pod, netns *os.File) error {
	return errors.Join(e.releaseNetwork(ctx, p, netns), e.releaseStage1(ctx, p))
}

// dispose removes a pod that has run. A plugin that cannot start does not keep it: what the network plugin holds
// is swept without the pod's directory. Its cgroup can be found by the directory alone, so that one must go first.
func (e *Engine) dispose(ctx context.Context, p *pod.Pod) error {
	if err := reclaim.Cgroup(p.Path()); err != nil {
		return fmt.Errorf("remove pod %s: %w", p.UUID, err)
	}
	if err := e.releasePlugins(ctx, p, nil); err != nil {
		if ctx.Err() != nil {
			return err
		}
		e.Observer.warn("pod %s: %v; removing it all the same", p.UUID, err)
	}
	if p.Section() != pod.ExitedGarbage {
		if err := p.MoveTo(pod.ExitedGarbage); err != nil {
			return err
		}
	}
	return p.Delete()
}

func (e *Engine) releaseNetwork(ctx context.Context, p *pod.Pod, netns *os.File) error {
	proc, err := e.teardown(ctx, p, netns)
	return errors.Join(err, proc.Close())
}

// teardown returns the plugin that did it, to be closed whatever the error; nil when none was needed.
func (e *Engine) teardown(ctx context.Context, p *pod.Pod, netns *os.File) (*plugin.Process, error) {
	if network.Down(p.Path()) {
		return nil, nil
	}
	entry, err := e.pinned(p.Path(), kindNetwork)
	if err != nil {
		return nil, err
	}
	proc, err := e.launchHeld(ctx, entry, plugin.Options{Kind: plugin.KindNetwork, FDs: network.FDs(netns)})
	if err != nil {
		return nil, err
	}
	return proc, network.Teardown(ctx, proc, p.UUID, p.Path(), e.networkDirs())
}

// releaseStage1 starts the pinned stage1 only when it says that it has something to clean.
func (e *Engine) releaseStage1(ctx context.Context, p *pod.Pod) error {
	entry, err := e.pinned(p.Path(), kindStage1)
	if err != nil {
		return err
	}
	if !entry.Capable("rkt.stage1", "cleanup") {
		return nil
	}
	proc, err := e.launchHeld(ctx, entry, plugin.Options{Kind: plugin.KindStage1})
	if err != nil {
		return err
	}
	defer proc.Close()
	return execute.Cleanup(ctx, proc, p.Path())
}
