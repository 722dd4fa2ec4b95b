package service

import (
	"context"
	"errors"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/plugin"
	"github.com/rkt/rkt/v2/sdk/stage1"
)

// UpdateResources asks the supervisor, which has the machine and its guest.
func (s *Stage1) UpdateResources(ctx context.Context, req stage1.Resources) error {
	if err := running(req.PodDir, req.App); err != nil {
		return err
	}
	r := req.Limits()
	reply, err := stage1.Control(ctx, req.PodDir, poddir.ControlRequest{Op: "update", App: req.App, Resources: &r})
	switch {
	case errors.Is(err, stage1.ErrNoSupervisor):
		return stage1.PodNotRunning("%w", err)
	case err != nil:
		return err
	case reply.OK:
		return nil
	case reply.Kind == poddir.ControlRefused:
		return stage1.PodUnsupported("%s", reply.Error)
	case reply.Kind == poddir.ControlBusy:
		return plugin.Busy("%s", reply.Error)
	}
	return errors.New(reply.Error)
}
