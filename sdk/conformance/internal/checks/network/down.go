package network

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	networkv1 "github.com/rkt/rkt/v2/proto/rkt/network/v1"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
)

func tearsDown(ctx context.Context, e *suite.Env) error {
	s, err := newSite(e)
	if err != nil {
		return err
	}
	p, _, err := s.full(ctx)
	if err != nil {
		return err
	}
	for range 2 {
		if err := p.teardown(ctx); err != nil {
			return err
		}
	}
	if err := errors.Join(p.drop(), s.clean()); err != nil {
		return err
	}
	return p.teardown(ctx)
}

func downWithoutNamespace(ctx context.Context, e *suite.Env) error {
	s, err := newSite(e)
	if err != nil {
		return err
	}
	p, _, err := s.full(ctx)
	if err != nil {
		return err
	}
	if err := errors.Join(p.drop(), p.teardown(ctx), p.teardown(ctx)); err != nil {
		return err
	}
	return s.clean()
}

func downWithoutState(ctx context.Context, e *suite.Env) error {
	s, err := newSite(e)
	if err != nil {
		return err
	}
	p, _, err := s.up(ctx)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Dir(filepath.Dir(p.state))); err != nil {
		return err
	}
	return errors.Join(p.drop(), p.teardown(ctx), p.teardown(ctx))
}

func downKilled(ctx context.Context, e *suite.Env) error {
	s, err := newSite(e)
	if err != nil {
		return err
	}
	first, _, err := s.up(ctx)
	if err != nil {
		return err
	}
	start := time.Now()
	if err := first.end(ctx); err != nil {
		return err
	}
	took := time.Since(start)
	p, _, err := s.full(ctx)
	if err != nil {
		return err
	}
	if err := p.kill(ctx, took, func(c networkv1.NetworkServiceClient) { _, _ = c.Teardown(ctx, p.down()) }); err != nil {
		return err
	}
	if err := p.end(ctx); err != nil {
		return fmt.Errorf("after %d kills: %w", kills, err)
	}
	return s.clean()
}

func downNothing(ctx context.Context, e *suite.Env) error {
	s, err := newSite(e)
	if err != nil {
		return err
	}
	p, err := s.pod()
	if err != nil {
		return err
	}
	return errors.Join(p.teardown(ctx), p.drop(), p.teardown(ctx), s.clean())
}

func downOther(ctx context.Context, e *suite.Env) error {
	s, err := newSite(e)
	if err != nil {
		return err
	}
	one, _, err := s.up(ctx)
	if err != nil {
		return err
	}
	two, resp, err := s.up(ctx)
	if err != nil {
		return err
	}
	if err := one.end(ctx); err != nil {
		return err
	}
	if err := two.connected(resp); err != nil {
		return fmt.Errorf("the other pod: %w", err)
	}
	if e.Claims(e.Service, "check") {
		if err := two.check(ctx); err != nil {
			return fmt.Errorf("Check of the other pod: %w", err)
		}
	}
	return nil
}

func sweeps(ctx context.Context, e *suite.Env) error {
	s, err := newSite(e)
	if err != nil {
		return err
	}
	dead, _, err := s.full(ctx)
	if err != nil {
		return err
	}
	live, resp, err := s.up(ctx)
	if err != nil {
		return err
	}
	if err := errors.Join(dead.drop(), os.RemoveAll(filepath.Dir(filepath.Dir(dead.state)))); err != nil {
		return err
	}
	dropped, err := live.sweep(ctx, live.uuid)
	if err != nil {
		return err
	}
	if len(dropped) == 0 {
		return errors.New("a pod was dead, and Sweep says that it dropped nothing")
	}
	if strings.Contains(strings.Join(dropped, " "), live.uuid) {
		return fmt.Errorf("Sweep says that it dropped something of the living: %q", dropped)
	}
	if err := live.connected(resp); err != nil {
		return fmt.Errorf("after Sweep the living pod: %w", err)
	}
	if e.Claims(e.Service, "check") {
		if err := live.check(ctx); err != nil {
			return fmt.Errorf("after Sweep, Check of the living pod: %w", err)
		}
	}
	// What the dead one had is free again, and nothing of it is left.
	return errors.Join(live.end(ctx), s.clean())
}

func sweepsNothing(ctx context.Context, e *suite.Env) error {
	s, err := newSite(e)
	if err != nil {
		return err
	}
	p, resp, err := s.up(ctx)
	if err != nil {
		return err
	}
	dropped, err := p.sweep(ctx, p.uuid)
	if err != nil {
		return err
	}
	if len(dropped) > 0 {
		return fmt.Errorf("nothing was dead, and Sweep says that it dropped %q", dropped)
	}
	return p.connected(resp)
}
