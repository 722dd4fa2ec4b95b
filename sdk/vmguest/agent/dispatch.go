package agent

import (
	"context"
	"encoding/json"
)

// do carries out one request. then, if any, is to be called when the host has been answered.
func (s *server) do(ctx context.Context, q request) (body any, then func(), err error) {
	switch q.Op {
	case OpHello:
		h := s.guest.Hello()
		h.Protocol, h.Ops = Protocol, s.ops()
		return h, nil, nil
	case OpStart:
		spec := new(PodSpec)
		if err := parse(q, spec); err != nil {
			return nil, nil, err
		}
		if err := spec.Check(); err != nil {
			return nil, nil, Refuse(CodeBadRequest, "read pod: %v", err)
		}
		return nil, nil, s.guest.Start(ctx, spec, s.reporter)
	case OpSignal:
		var b signalBody
		if err := parse(q, &b); err != nil {
			return nil, nil, err
		}
		if b.Signal < 1 || b.Signal > 64 {
			return nil, nil, Refuse(CodeBadRequest, "signal %d is not in 1..64", b.Signal)
		}
		return nil, nil, s.guest.Signal(b.Target, b.Signal)
	case OpKill:
		return nil, nil, s.guest.Kill(ctx)
	}
	return s.may(q)
}

// may carries out what not every guest is able to do.
func (s *server) may(q request) (body any, then func(), err error) {
	unknown := Refuse(CodeUnknown, "operation %q is unknown to this guest", clip(q.Op))
	switch q.Op {
	case OpResize:
		g, ok := s.guest.(Resizer)
		if !ok {
			return nil, nil, unknown
		}
		var b resizeBody
		if err := parse(q, &b); err != nil {
			return nil, nil, err
		}
		return nil, nil, g.Resize(b.Target, b.Size)
	case OpEnter:
		g, ok := s.guest.(Enterer)
		if !ok {
			return nil, nil, unknown
		}
		var b EnterSpec
		if err := parse(q, &b); err != nil {
			return nil, nil, err
		}
		id, err := g.Enter(b, s.reporter)
		return enterReply{Process: id}, nil, err
	case OpStats:
		g, ok := s.guest.(Statser)
		if !ok {
			return nil, nil, unknown
		}
		apps, err := g.Stats()
		return statsReply{Apps: apps}, nil, err
	case OpUpdate:
		g, ok := s.guest.(Updater)
		if !ok {
			return nil, nil, unknown
		}
		var b updateBody
		if err := parse(q, &b); err != nil {
			return nil, nil, err
		}
		return nil, nil, g.Update(b.App, b.Resources)
	case OpSetTime:
		g, ok := s.guest.(Clock)
		if !ok {
			return nil, nil, unknown
		}
		var b timeBody
		if err := parse(q, &b); err != nil {
			return nil, nil, err
		}
		return nil, nil, g.SetTime(b.Time)
	case OpPowerOff:
		g, ok := s.guest.(Powerer)
		if !ok {
			return nil, nil, unknown
		}
		var b powerOffBody
		if err := parse(q, &b); err != nil {
			return nil, nil, err
		}
		return nil, func() { g.PowerOff(b.Reboot) }, nil
	}
	return nil, nil, unknown
}

func parse(q request, into any) error {
	if err := json.Unmarshal(q.Body, into); err != nil {
		return Refuse(CodeBadRequest, "read %s: %v", q.Op, err)
	}
	return nil
}

// ops lists what the guest is able to do.
func (s *server) ops() []string {
	out := []string{OpHello, OpStart, OpSignal, OpKill}
	if _, ok := s.guest.(Resizer); ok {
		out = append(out, OpResize)
	}
	if _, ok := s.guest.(Enterer); ok {
		out = append(out, OpEnter)
	}
	if _, ok := s.guest.(Statser); ok {
		out = append(out, OpStats)
	}
	if _, ok := s.guest.(Updater); ok {
		out = append(out, OpUpdate)
	}
	if _, ok := s.guest.(Clock); ok {
		out = append(out, OpSetTime)
	}
	if _, ok := s.guest.(Powerer); ok {
		out = append(out, OpPowerOff)
	}
	return out
}
