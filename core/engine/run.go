package engine

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/rkt/rkt/v2/core/execute"
	"github.com/rkt/rkt/v2/core/pod"
	"github.com/rkt/rkt/v2/proto/poddir"
)

// Run prepares a pod and becomes its supervisor: the same process, from here on the pod. It returns only when
// something went wrong, and then the pod is gone.
func (e *Engine) Run(ctx context.Context, spec PodSpec, opts RunOptions) error {
	s := e.starting(opts)
	p, stage1, err := e.prepare(ctx, spec, opts.UUIDFileSave, s.launch)
	if err != nil {
		s.abandon()
		s.closeNetns()
		return err
	}
	err = s.start(ctx, p, stage1)
	if p.Section() == pod.ExitedGarbage {
		p.Close() // gc has to know what is left
	} else {
		discard(p)
		forgetUUID(opts.UUIDFileSave, p.UUID)
	}
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
	if err := saveUUID(opts.UUIDFileSave, id); err != nil {
		return err
	}
	stage1, err := e.pinned(p.Path(), kindStage1)
	if err != nil {
		return err
	}
	// Nothing of it has run yet: what the lock says now counts, not what it said when the pod was prepared.
	if err := e.admit(stage1.Entry, filepath.Base(stage1.Dir)); err != nil {
		return err
	}
	return e.starting(opts).start(ctx, p, stage1)
}

// start is the life of a pod up to its supervisor, step by step. Everything that it makes outside the pod
// directory is undone when a later step fails.
func (s *starting) start(ctx context.Context, p *pod.Pod, stage1 *held) error {
	s.pod = p
	defer s.undo()
	if err := poddir.ReadJSON(p.Path(), poddir.PodFile, &s.desc); err != nil {
		return err
	}
	if err := p.MoveTo(pod.Run); err != nil {
		return err
	}
	if s.launched == nil {
		s.launch(ctx, stage1)
	}
	s.makeCgroup()
	if err := s.await(); err != nil {
		return err
	}
	if err := s.connect(ctx); err != nil {
		return err
	}
	plan, err := execute.Run(ctx, s.stage1Proc, p.Path(), p.UUID, s.engine.Config.Debug)
	if err != nil {
		return err
	}
	if err := s.reap(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil { // Ctrl-C until now; from here on the supervisor takes it
		return err
	}
	return execute.Become(stage1.Entry, plan, p.Path(), s.fds())
}
