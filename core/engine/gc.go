package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rkt/rkt/v2/core/network"
	"github.com/rkt/rkt/v2/core/plugin"
	"github.com/rkt/rkt/v2/core/pod"
	"github.com/rkt/rkt/v2/core/reclaim"
	"github.com/rkt/rkt/v2/proto/poddir"
)

// GCOptions are the ages after which pods go.
type GCOptions struct {
	Grace          time.Duration // exited pods, since they were marked
	ExpirePrepared time.Duration // prepared pods that were never run
	MarkOnly       bool
}

// GCReport is what gc did.
type GCReport struct {
	Marked  []string
	Removed []string
	Kept    []string // exited pods within their grace time
}

// GC marks what has ended and removes what is old enough (rkt-features.md POD-16). One bad pod never stops the
// others: its error is among those returned, and the next gc tries again.
func (e *Engine) GC(ctx context.Context, o GCOptions) (GCReport, error) {
	var report GCReport
	var errs []error
	note := func(id string, err error, list *[]string) {
		if errors.Is(err, pod.ErrLocked) || isGone(err) {
			return
		}
		if err != nil {
			errs = append(errs, err)
			return
		}
		*list = append(*list, id)
	}
	each := func(s pod.Section, do func(id string)) {
		ids, err := e.Pods.In(s)
		if err != nil {
			errs = append(errs, fmt.Errorf("collect garbage: %w", err))
		}
		for _, id := range ids {
			if ctx.Err() == nil { // Ctrl-C: the next gc goes on
				do(id)
			}
		}
	}
	each(pod.Run, func(id string) { note(id, e.markExited(ctx, id), &report.Marked) })
	for _, s := range []pod.Section{pod.Embryo, pod.Prepare} {
		each(s, func(id string) { note(id, reclaim.Move(e.Pods, id, s, pod.Garbage), &report.Marked) })
	}
	if o.MarkOnly {
		return report, errors.Join(append(errs, ctx.Err())...)
	}
	each(pod.Prepared, func(id string) {
		if info, err := e.Pods.Info(id); err == nil && time.Since(info.Pod.Created) >= o.ExpirePrepared {
			note(id, reclaim.Move(e.Pods, id, pod.Prepared, pod.Garbage), &report.Marked)
		}
	})
	each(pod.ExitedGarbage, func(id string) {
		if info, err := e.Pods.Info(id); err == nil && time.Since(info.Marked) < o.Grace {
			report.Kept = append(report.Kept, id)
			return
		}
		note(id, e.deletePod(ctx, id), &report.Removed)
	})
	each(pod.Garbage, func(id string) { note(id, e.deletePod(ctx, id), &report.Removed) })
	if ctx.Err() == nil {
		errs = append(errs, e.sweep(ctx)...)
	}
	return report, errors.Join(append(errs, ctx.Err())...)
}

func isGone(err error) bool {
	var gone *pod.NotFoundError
	return errors.As(err, &gone)
}

// markExited moves a pod that has ended to exited-garbage. One whose supervisor was killed still has its
// network and cgroup: they go now, not after the grace time.
func (e *Engine) markExited(ctx context.Context, id string) error {
	p, err := e.Pods.Lock(id)
	if err != nil {
		return err
	}
	defer p.Close()
	if p.Section() != pod.Run {
		return pod.ErrLocked // another gc was quicker
	}
	if err := e.release(ctx, p, nil); err != nil {
		if ctx.Err() != nil {
			return err
		}
		e.Observer.warn("pod %s: %v (tried again when it is removed)", p.UUID, err)
	}
	return p.MoveTo(pod.ExitedGarbage)
}

func (e *Engine) deletePod(ctx context.Context, id string) error {
	p, err := e.Pods.Lock(id)
	if err != nil {
		return err
	}
	defer p.Close()
	if p.Section() == pod.Garbage { // never ran
		return p.Delete()
	}
	return e.dispose(ctx, p)
}

// sweep drops what no pod refers to any more: leases of dead pods, pinned plugins, dead staging directories.
func (e *Engine) sweep(ctx context.Context) []error {
	var errs []error
	pods, err := e.Pods.List()
	if err != nil {
		return []error{err}
	}
	pinned := map[string]bool{}
	var live []string
	for _, info := range pods {
		if info.State == pod.StateRunning || info.State == pod.StateExited {
			live = append(live, info.UUID)
		}
		var rec poddir.Plugins
		if poddir.ReadJSON(info.Path, poddir.PluginsFile, &rec) == nil {
			for _, p := range rec.Plugins {
				pinned[p.Digest] = true
			}
		}
	}
	if err := e.sweepNetworks(ctx, live); err != nil {
		errs = append(errs, err)
	}
	f, err := e.lock()
	if err != nil {
		errs = append(errs, err)
	} else {
		for _, p := range f.Plugins { // what fetchers and verifiers that are locked are launched from
			pinned[p.Digest] = true
		}
	}
	if err := e.pins().RemoveUnused(pinned); err != nil {
		errs = append(errs, err)
	}
	st, err := e.store()
	if err == nil {
		_, err = st.GC(ctx, e.inUse, -1) // no images: those have their own gc
	}
	if err != nil {
		errs = append(errs, err)
	}
	return errs
}

// sweepNetworks asks the installed network plugin; without one there is nobody to ask, and nothing to be lost
// that a later gc cannot find.
func (e *Engine) sweepNetworks(ctx context.Context, live []string) error {
	entry, err := e.Plugins().Network()
	if err != nil {
		return nil //nolint:nilerr // no network plugin: see above
	}
	p, err := e.launch(ctx, entry, plugin.Options{Kind: plugin.KindNetwork})
	if err != nil {
		return err
	}
	defer p.Close()
	dropped, err := network.Sweep(ctx, p, live, e.networkDirs())
	for _, d := range dropped {
		e.Observer.warn("dropped %s", d)
	}
	return err
}
