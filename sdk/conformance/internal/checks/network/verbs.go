package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/rkt/rkt/v2/proto/reason"
	networkv1 "github.com/rkt/rkt/v2/proto/rkt/network/v1"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/answer"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/netns"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
)

func setsUp(ctx context.Context, e *suite.Env) error {
	s, err := newSite(e)
	if err != nil {
		return err
	}
	_, _, err = s.up(ctx)
	return err
}

func setsUpAgain(ctx context.Context, e *suite.Env) error {
	s, err := newSite(e)
	if err != nil {
		return err
	}
	p, first, err := s.up(ctx)
	if err != nil {
		return err
	}
	for range 2 {
		again, err := p.setup(ctx)
		if err != nil {
			return fmt.Errorf("the second Setup: %w", err)
		}
		if !slices.Equal(addresses(first), addresses(again)) {
			return fmt.Errorf("first the addresses %q, then %q", addresses(first), addresses(again))
		}
		if err := p.connected(again); err != nil {
			return fmt.Errorf("after the second Setup: %w", err)
		}
	}
	return nil
}

const kills = 8

// kill kills verb at random moments of the time that it takes.
func (p *pod) kill(ctx context.Context, took time.Duration, verb func(networkv1.NetworkServiceClient)) error {
	for range kills {
		c, proc, err := p.client(ctx)
		if err != nil {
			return err
		}
		done := make(chan struct{})
		go func() { verb(c); close(done) }()
		select {
		case <-time.After(p.e.Between(took)):
		case <-done:
		}
		proc.Kill()
		<-done
		if err := proc.Close(); err != nil {
			return err
		}
	}
	return nil
}

func setupKilled(ctx context.Context, e *suite.Env) error {
	s, err := newSite(e)
	if err != nil {
		return err
	}
	start := time.Now()
	first, _, err := s.up(ctx)
	if err != nil {
		return err
	}
	took := time.Since(start)
	if err := first.end(ctx); err != nil {
		return err
	}
	p, err := s.pod()
	if err != nil {
		return err
	}
	if err := p.kill(ctx, took, func(c networkv1.NetworkServiceClient) { _, _ = c.Setup(ctx, p.request()) }); err != nil {
		return err
	}
	resp, err := p.setup(ctx)
	if err != nil {
		return fmt.Errorf("after %d kills: %w", kills, err)
	}
	if err := p.connected(resp); err != nil {
		return fmt.Errorf("after %d kills: %w", kills, err)
	}
	return errors.Join(p.end(ctx), s.clean())
}

func setupUnknown(ctx context.Context, e *suite.Env) error {
	s, err := newSite(e)
	if err != nil {
		return err
	}
	p, err := s.pod()
	if err != nil {
		return err
	}
	req := p.request()
	req.Networks = append(req.Networks, &networkv1.NetworkRequest{Name: "no-such-network"})
	_, err = ask(ctx, p, func(c networkv1.NetworkServiceClient) (*networkv1.SetupResponse, error) { return c.Setup(ctx, req) })
	if err := answer.Want(err, reason.NetworkNotFound); err != nil {
		return err
	}
	return errors.Join(p.end(ctx), s.clean())
}

func setupTwo(ctx context.Context, e *suite.Env) error {
	s, err := newSite(e)
	if err != nil {
		return err
	}
	_, one, err := s.up(ctx)
	if err != nil {
		return err
	}
	_, two, err := s.up(ctx)
	if err != nil {
		return err
	}
	for _, a := range addresses(one) {
		if slices.Contains(addresses(two), a) {
			return fmt.Errorf("two pods have the address %s", a)
		}
	}
	return nil
}

// forward is a port of the host that nobody has, to the pod's 80.
func (s *site) forward() *networkv1.PortForward {
	return &networkv1.PortForward{Protocol: "tcp", HostPort: uint32(20000 + s.e.Rand.IntN(20000)), PodPort: 80}
}

func setupPort(ctx context.Context, e *suite.Env) error {
	s, err := newSite(e)
	if err != nil {
		return err
	}
	f := s.forward()
	one, err := s.published(ctx, f)
	if err != nil {
		return err
	}
	_, _, err = s.up(ctx, f)
	if err := answer.Want(errors.Unwrap(err), reason.PortInUse); err != nil {
		return fmt.Errorf("the second pod with the same port: %w", err)
	}
	if err := one.end(ctx); err != nil {
		return err
	}
	two, _, err := s.up(ctx, f)
	if err != nil {
		return fmt.Errorf("a pod with the port of one that is gone: %w", err)
	}
	return two.end(ctx)
}

func checks(ctx context.Context, e *suite.Env) error {
	s, err := newSite(e)
	if err != nil {
		return err
	}
	p, _, err := s.up(ctx)
	if err != nil {
		return err
	}
	return errors.Join(p.check(ctx), p.check(ctx))
}

func checksDamaged(ctx context.Context, e *suite.Env) error {
	s, err := newSite(e)
	if err != nil {
		return err
	}
	p, resp, err := s.up(ctx)
	if err != nil {
		return err
	}
	err = netns.Do(p.ns, func() error {
		link, err := netlink.LinkByName(resp.GetInterfaces()[0].GetName())
		if err != nil {
			return err
		}
		return netlink.LinkDel(link)
	})
	if err != nil {
		return err
	}
	return answer.Want(p.check(ctx), reason.NetworkDamaged)
}

// portReaches has a server in the pod that is asked from the host.
func portReaches(ctx context.Context, e *suite.Env) error {
	s, err := newSite(e)
	if err != nil {
		return err
	}
	f := s.forward()
	p, err := s.published(ctx, f)
	if err != nil {
		return err
	}
	var l net.Listener
	if err := netns.Do(p.ns, func() (err error) { l, err = net.Listen("tcp", ":80"); return err }); err != nil {
		return err
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "from the pod")
			c.Close()
		}
	}()
	return netns.Do(s.host, func() error {
		c, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(f.GetHostPort()))), 5*time.Second)
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
			return err
		}
		b, err := io.ReadAll(c)
		if string(b) != "from the pod" {
			return fmt.Errorf("the published port answers %q: %w", b, err)
		}
		return nil
	})
}
