package attach

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/containernetworking/cni/libcni"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/plugins/network-cni/internal/firewall"
	"github.com/rkt/rkt/v2/plugins/network-cni/internal/ledger"
	"github.com/rkt/rkt/v2/sdk/network"
)

// Check implements network.Checker.
func (e *Engine) Check(ctx context.Context, pod network.Pod) error {
	s, err := e.open(pod.SharedDir, pod.Netns)
	if err != nil {
		return err
	}
	defer s.close()
	if s.rec, err = s.led.Load(pod.UUID); err != nil {
		return err
	}
	if s.rec == nil || s.rec.Gone {
		return network.Damaged("pod %s is connected to no network", pod.UUID)
	}
	var wrong []string
	if e := firewall.Entries(s.rec); len(e) > 0 {
		fw, err := s.firewall()
		if err != nil {
			return err
		}
		missing, _, err := fw.Compare(e)
		if err != nil {
			return err
		}
		if missing {
			wrong = append(wrong, "nftables rules are missing from table inet rkt")
		}
	}
	for i := range s.rec.Attachments {
		if err := s.checkOne(ctx, &s.rec.Attachments[i]); err != nil {
			wrong = append(wrong, fmt.Sprintf("network %s: %v", s.rec.Attachments[i].Network, err))
		}
	}
	if len(wrong) > 0 {
		return network.Damaged("%s", strings.Join(wrong, "; "))
	}
	return nil
}

func (s *session) checkOne(ctx context.Context, a *ledger.Attachment) error {
	if a.Link != nil {
		return s.checkLink(a)
	}
	if s.ns < 0 {
		return nil // without the namespace a program cannot tell
	}
	list, rt, err := s.runtime(a, s.ns)
	if err != nil {
		return err
	}
	if err := s.cni.CheckNetworkList(ctx, list, rt); !errors.Is(err, libcni.ErrorCheckNotSupp) {
		return err
	}
	return nil
}

func (s *session) checkLink(a *ledger.Attachment) error {
	out, err := netlink.LinkByName(a.Link.HostIf)
	if err != nil {
		return fmt.Errorf("link %s is missing", a.Link.HostIf)
	}
	if out.Attrs().RawFlags&unix.IFF_UP == 0 {
		return fmt.Errorf("link %s is down", a.Link.HostIf)
	}
	if s.ns < 0 {
		return nil
	}
	h, err := netlink.NewHandleAt(netns.NsHandle(s.ns), unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("enter the pod's network namespace: %w", err)
	}
	defer h.Close()
	in, err := h.LinkByName(a.IfName)
	if err != nil {
		return fmt.Errorf("link %s is missing in the pod", a.IfName)
	}
	have, err := h.AddrList(in, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("list addresses of %s: %w", a.IfName, err)
	}
next:
	for _, want := range []netip.Addr{a.Link.IP4, a.Link.IP6} {
		for _, h := range have {
			if ip, ok := netip.AddrFromSlice(h.IP); ok && ip.Unmap() == want {
				continue next
			}
		}
		if want.IsValid() {
			return fmt.Errorf("address %s is missing from %s in the pod", want, a.IfName)
		}
	}
	return nil
}
