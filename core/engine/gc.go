package engine

import (
	"context"
	"errors"
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
	for id, err := range e.each(pod.Run) {
		if err == nil {
			err = e.markExited(ctx, id)
		}
		note(id, err, &report.Marked)
	}
	for _, s := range []pod.Section{pod.Embryo, pod.Prepare} {
		for id, err := range e.each(s) {
			if err == nil {
				err = reclaim.Move(e.Pods, id, s, pod.Garbage)
			}
			note(id, err, &report.Marked)
		}
	}
	if !o.MarkOnly {
		for id, err := range e.each(pod.Prepared) {
			if info, ierr := e.Pods.Info(id); err == nil && ierr == nil && time.Since(info.Pod.Created) >= o.ExpirePrepared {
				note(id, reclaim.Move(e.Pods, id, pod.Prepared, pod.Garbage), &report.Marked)
			}
		}
		for id, err := range e.each(pod.ExitedGarbage) {
			if info, ierr := e.Pods.Info(id); err == nil && ierr == nil && time.Since(info.Marked) < o.Grace {
				report.Kept = append(report.Kept, id)
				continue
			}
			note(id, e.deletePod(ctx, id), &report.Removed)
		}
		for id := range e.each(pod.Garbage) {
			note(id, e.deletePod(ctx, id), &report.Removed)
		}
		errs = append(errs, e.sweep(ctx)...)
	}
	return report, errors.Join(errs...)
}

// each yields the pods of a section; a section that cannot be read yields one error.
func (e *Engine) each(s pod.Section) func(func(string, error) bool) {
	return func(yield func(string, error) bool) {
		ids, err := e.Pods.In(s)
		if err != nil {
			yield("", err)
			return
		}
		for _, id := range ids {
			if !yield(id, nil) {
				return
			}
		}
	}
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
	e.release(ctx, p, nil)
	return p.MoveTo(pod.ExitedGarbage)
}

func (e *Engine) deletePod(ctx context.Context, id string) error {
	p, err := e.Pods.Lock(id)
	if err != nil {
		return err
	}
	defer p.Close()
	if !network.Down(p.Path()) {
		e.release(ctx, p, nil)
	}
	return reclaim.Delete(p)
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
