package attach

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"

	"github.com/rkt/rkt/v2/plugins/network-cni/internal/firewall"
	"github.com/rkt/rkt/v2/plugins/network-cni/internal/hostnet"
	"github.com/rkt/rkt/v2/plugins/network-cni/internal/ledger"
	"github.com/rkt/rkt/v2/plugins/network-cni/internal/ptp"
)

// teardown undoes everything that s.rec tells of, and then removes it.
func (s *session) teardown(ctx context.Context) error {
	rec := s.rec
	if !rec.Gone && s.led.Current(rec) {
		// From here on nobody puts this pod's rules back. The table goes first, if it goes: the kernel frees it
		// while the links are removed, and the end of the process need not wait for that.
		rec.Gone = true
		err := s.locked(ctx, func() error { return errors.Join(s.led.Save(rec), s.tidy(rec.Pod)) })
		if err != nil {
			return err
		}
	}
	var errs error
	for _, a := range slices.Backward(rec.Attachments) {
		if err := s.del(ctx, &a); err != nil {
			errs = errors.Join(errs, fmt.Errorf("leave network %s: %w", a.Network, err))
		}
	}
	if errs != nil {
		return errs
	}
	return s.locked(ctx, func() error {
		if err := s.release(rec); err != nil {
			return err
		}
		if err := s.tidy(rec.Pod); err != nil {
			return err
		}
		s.led.RemoveEmpty()
		return s.led.Remove(rec.Pod) // last, so that a kill before it lets the next call come here again
	})
}

// tidy leaves nothing on the host when there is no pod but the one that is going. The caller holds the lock.
func (s *session) tidy(going string) error {
	pods, err := s.led.Pods()
	if err != nil || slices.ContainsFunc(pods, func(p string) bool { return p != going }) {
		return err
	}
	fw, err := s.firewall()
	if err != nil {
		return err
	}
	return fw.Drop()
}

// del runs DEL for one attachment.
func (s *session) del(ctx context.Context, a *ledger.Attachment) error {
	ns := s.ns
	list, rt, err := s.runtime(a, ns)
	if err != nil {
		return err
	}
	if ns < 0 && a.Link == nil {
		cached, err := s.cni.GetNetworkListCachedResult(list, rt)
		if err != nil {
			slog.WarnContext(ctx, "cannot read what a network answered", "network", a.Network, "error", err)
		}
		fake, err := standIn(a.IfName, cached)
		if err != nil {
			return err
		}
		defer fake.Close()
		if _, rt, err = s.runtime(a, int(fake.Fd())); err != nil {
			return err
		}
	}
	return s.cni.DelNetworkList(ctx, list, rt)
}

// down takes rules and link away; neither needs the other, and both wait for the kernel.
func (s *session) down(a *ledger.Attachment) error {
	if !s.led.Current(s.rec) {
		return nil // link and rules went with the boot; another pod may have the addresses by now
	}
	rules := make(chan error, 1)
	go func() {
		fw, err := s.firewall()
		if err == nil {
			err = fw.Remove(firewall.Entries(&ledger.Record{Pod: s.rec.Pod, Attachments: []ledger.Attachment{*a}}))
		}
		rules <- err
	}()
	remove := ptp.Down
	if s.ns >= 0 {
		remove = ptp.Retire // the pod's namespace is still held by core, which lets go of it next
	}
	err := remove(a.Link)
	if rerr := <-rules; err == nil {
		err = rerr
	}
	hostnet.ForgetFlows(a.Ports)
	return err
}

// dropLeases removes the leases of pods for which drop is true. The caller holds the lock.
func (s *session) dropLeases(drop func(pod string) bool, told func(network string, ip netip.Addr, pod string)) error {
	return s.led.Leases(func(network string, ip netip.Addr, pod string) error {
		if !drop(pod) {
			return nil
		}
		if told != nil {
			told(network, ip, pod)
		}
		return s.led.DropLease(network, ip)
	})
}
