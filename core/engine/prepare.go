package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rkt/rkt/v2/core/plugin"
	"github.com/rkt/rkt/v2/core/pod"
	"github.com/rkt/rkt/v2/core/store"
	"github.com/rkt/rkt/v2/proto/poddir"
)

// Prepare makes a pod that is complete but for its start, and leaves it prepared.
func (e *Engine) Prepare(ctx context.Context, spec PodSpec) (string, error) {
	p, _, err := e.prepare(ctx, spec, "", nil)
	if err != nil {
		return "", err
	}
	defer p.Close()
	if err := p.MoveTo(pod.Prepared); err != nil {
		return "", err
	}
	return p.UUID, p.Sync() // whoever has been told the UUID finds the pod after a power loss, too
}

// prepare returns the locked pod in prepare/ and its pinned stage1. On error the pod is gone, or left for gc to
// find. launch, if not nil, is told the stage1 first of all, so that it comes up beside the rest.
func (e *Engine) prepare(ctx context.Context, spec PodSpec, uuidFile string, launch func(context.Context, *held)) (p *pod.Pod, stage1 *held, err error) {
	if len(spec.Apps) == 0 {
		return nil, nil, errors.New("no image given")
	}
	installed, err := e.Plugins().Stage1(first(spec.Stage1, e.Config.Stage1))
	if err != nil {
		return nil, nil, err
	}
	if stage1, err = e.pin(installed, plugin.KindStage1); err != nil {
		return nil, nil, err
	}
	if launch != nil {
		launch(ctx, stage1)
	}
	st, err := e.store()
	if err != nil {
		return nil, nil, err
	}
	release, err := st.Hold() // until pod.json refers to the images
	if err != nil {
		return nil, nil, err
	}
	defer release()

	if p, err = e.Pods.New(); err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			discard(p)
			forgetUUID(uuidFile, p.UUID)
			p = nil
		}
	}()
	if err = saveUUID(uuidFile, p.UUID); err != nil {
		return p, nil, err
	}
	imgs, err := e.images(ctx, st, spec)
	if err != nil {
		return p, nil, err
	}
	desc, err := e.buildPod(spec, imgs)
	if err != nil {
		return p, nil, err
	}
	desc.UUID, desc.Created = p.UUID, time.Now()
	desc.Stage1 = flavor(stage1.Entry)
	if desc.Hostname == "" {
		desc.Hostname = "rkt-" + p.UUID
	}
	if err = e.writePod(p, desc); err != nil {
		return p, nil, err
	}
	err = recordPlugin(p, kindStage1, stage1)
	return p, stage1, err
}

func (e *Engine) images(ctx context.Context, st *store.Store, spec PodSpec) ([]*store.Image, error) {
	imgs := make([]*store.Image, len(spec.Apps))
	for i, a := range spec.Apps {
		ref, err := parseImage(a.Image)
		if err != nil {
			return nil, err
		}
		imgs[i], err = e.fetchHeld(ctx, st, ref, FetchSpec{Image: a.Image, Signature: a.Signature, Policy: spec.PullPolicy})
		if err != nil {
			return nil, err
		}
		if err := st.Touch(imgs[i].ID); err != nil {
			e.Observer.warn("note use of image %s: %v", imgs[i].ID, err)
		}
	}
	return imgs, nil
}

func flavor(e *plugin.Entry) string {
	if p := e.Manifest.Provision("rkt.stage1"); p != nil && p.Flavor != "" {
		return p.Flavor
	}
	return e.Name
}

// writePod makes the parts of a pod directory that a start relies on.
func (e *Engine) writePod(p *pod.Pod, desc *poddir.Pod) error {
	for _, dir := range []string{poddir.StatusDir, poddir.AppsDir, poddir.VolumesDir, poddir.Stage1Dir} {
		if err := mkdir(p, dir, 0o750); err != nil {
			return err
		}
	}
	if err := e.writeDocument(p.Path(), poddir.PodFile, desc); err != nil {
		return fmt.Errorf("write pod %s: %w", p.UUID, err)
	}
	return nil
}

// discard removes a pod that never became anything. What cannot be removed now is an aborted prepare, or
// garbage, that gc removes.
func discard(p *pod.Pod) {
	defer p.Close()
	if p.MoveTo(pod.Garbage) == nil {
		p.Delete() //nolint:errcheck // gc tries again
	}
}
