package ptp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/plugins/network-cni/internal/hostnet"
	"github.com/rkt/rkt/v2/plugins/network-cni/internal/ledger"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// end is one side of a pair, as it should be.
type end struct {
	own4, own6   netip.Addr // of this side
	peer4, peer6 netip.Addr // of the other, reached over the link
	peerMAC      net.HardwareAddr
	via          bool // default routes lead over the peer's addresses
	sub          []netip.Prefix
}

// Up makes the pair of a link, one end in the namespace that the descriptor pod refers to, under the name ifname.
// A pair that is there already stays, so a running pod's connections survive a second Setup.
func Up(l *ledger.Link, pod int, ifname string, published bool) error {
	host, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("connect to netlink: %w", err)
	}
	defer host.Close()
	inside, err := netlink.NewHandleAt(netns.NsHandle(pod), unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("enter the pod's network namespace: %w", err)
	}
	defer inside.Close()

	hostMAC, err1 := net.ParseMAC(l.HostMAC)
	podMAC, err2 := net.ParseMAC(l.PodMAC)
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("read link %s: %w", l.HostIf, err)
	}
	out, in, err := pair(host, inside, l, pod, ifname, hostMAC, podMAC)
	if err != nil {
		return err
	}
	if err := settings(l, published); err != nil {
		return err
	}
	if lo, err := inside.LinkByName("lo"); err == nil {
		if err := inside.LinkSetUp(lo); err != nil {
			return fmt.Errorf("bring up the pod's loopback: %w", err)
		}
	}
	if err := inside.LinkSetUp(in); err != nil {
		return fmt.Errorf("bring up %s in the pod: %w", ifname, err)
	}
	err = configure(host, out, end{
		own4: l.Gateway4, own6: l.Gateway6, peer4: l.IP4, peer6: l.IP6, peerMAC: podMAC,
	})
	if err != nil {
		return fmt.Errorf("configure %s on the host: %w", l.HostIf, err)
	}
	err = configure(inside, in, end{
		own4: l.IP4, own6: l.IP6, peer4: l.Gateway4, peer6: l.Gateway6, peerMAC: hostMAC,
		via: l.DefaultRoute, sub: []netip.Prefix{l.Subnet4, l.Subnet6},
	})
	if err != nil {
		return fmt.Errorf("configure %s in the pod: %w", ifname, err)
	}
	if published && l.IP6.IsValid() {
		return loopback6(host, out)
	}
	return nil
}

// pair finds the veth pair or makes it.
func pair(host, inside *netlink.Handle, l *ledger.Link, pod int, ifname string, hostMAC, podMAC net.HardwareAddr) (out, in netlink.Link, err error) {
	veth := &netlink.Veth{
		LinkAttrs:        netlink.LinkAttrs{Name: l.HostIf, HardwareAddr: hostMAC, MTU: l.MTU, Flags: net.FlagUp, TxQLen: -1},
		PeerName:         ifname,
		PeerHardwareAddr: podMAC,
		PeerMTU:          uint32(l.MTU),
		PeerNamespace:    netlink.NsFd(pod),
	}
	for try := 0; ; try++ {
		err = host.LinkAdd(veth)
		if !errors.Is(err, unix.EEXIST) || try == 5 {
			break
		}
		// Either the pair of an earlier Setup, or the remains of one whose pod's namespace is on its way out, or
		// something else in the pod has the name.
		out, err = host.LinkByName(l.HostIf)
		if errors.As(err, new(netlink.LinkNotFoundError)) {
			if err := clear(inside, ifname, l.PodMAC); err != nil {
				return nil, nil, err
			}
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("look for link %s: %w", l.HostIf, err)
		}
		in, err = inside.LinkByName(ifname)
		if err == nil && in.Attrs().HardwareAddr.String() == l.PodMAC && out.Attrs().ParentIndex == in.Attrs().Index {
			return out, in, host.LinkSetUp(out)
		}
		if out.Attrs().HardwareAddr.String() != l.HostMAC {
			return nil, nil, fmt.Errorf("make link %s: the host has another one of that name; remove it: ip link del %s", l.HostIf, l.HostIf)
		}
		if err := host.LinkDel(out); err != nil && !gone(err) {
			return nil, nil, fmt.Errorf("remove an old link %s: %w", l.HostIf, err)
		}
	}
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil, nil, plugin.HostUnfit("make a veth pair: the kernel has none; type: modprobe veth")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("make veth pair %s: %w", l.HostIf, err)
	}
	if out, err = host.LinkByName(l.HostIf); err != nil {
		return nil, nil, fmt.Errorf("find new link %s: %w", l.HostIf, err)
	}
	if in, err = inside.LinkByName(ifname); err != nil {
		return nil, nil, fmt.Errorf("find new link %s in the pod: %w", ifname, err)
	}
	return out, in, nil
}

// clear removes the pod's end of a pair that Down has sent away and that the kernel has not got round to yet.
func clear(inside *netlink.Handle, ifname, podMAC string) error {
	in, err := inside.LinkByName(ifname)
	if err != nil {
		return nil // gone by now
	}
	if in.Attrs().HardwareAddr.String() != podMAC {
		return fmt.Errorf("make %s in the pod: it has a link of that name already (%s)", ifname, in.Type())
	}
	if err := inside.LinkDel(in); err != nil && !gone(err) {
		return fmt.Errorf("remove an old %s from the pod: %w", ifname, err)
	}
	return nil
}

// configure gives a link its address, its neighbour and its routes.
func configure(h *netlink.Handle, link netlink.Link, e end) error {
	index := link.Attrs().Index
	for i, ip := range []netip.Addr{e.own4, e.own6} {
		peer := []netip.Addr{e.peer4, e.peer6}[i]
		if !ip.IsValid() || !peer.IsValid() {
			continue
		}
		addr := &netlink.Addr{IPNet: single(ip)}
		if ip.Is6() {
			addr.Flags = unix.IFA_F_NODAD
		}
		if err := h.AddrReplace(link, addr); err != nil {
			return fmt.Errorf("add address %s: %w", ip, err)
		}
		err := h.NeighSet(&netlink.Neigh{
			LinkIndex: index, IP: peer.AsSlice(), HardwareAddr: e.peerMAC, State: netlink.NUD_PERMANENT, Family: family(ip),
		})
		if err != nil {
			return fmt.Errorf("add neighbour %s: %w", peer, err)
		}
		routes := []netlink.Route{{LinkIndex: index, Dst: single(peer), Scope: netlink.SCOPE_LINK, Src: ip.AsSlice()}}
		if e.via {
			all := netip.PrefixFrom(unspecified(ip), 0)
			routes = append(routes, netlink.Route{LinkIndex: index, Dst: prefix(all), Gw: peer.AsSlice()})
		} else if len(e.sub) > i && e.sub[i].IsValid() {
			routes = append(routes, netlink.Route{LinkIndex: index, Dst: prefix(e.sub[i]), Gw: peer.AsSlice()})
		}
		for _, r := range routes {
			if err := h.RouteReplace(&r); err != nil {
				return fmt.Errorf("add route to %s: %w", r.Dst, err)
			}
		}
	}
	return nil
}

// settings adapts the host's end before anything is sent over it. A setting that the kernel lacks is no loss.
func settings(l *ledger.Link, published bool) error {
	set := func(path, value string) error {
		err := hostnet.SetSysctl(path, value)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}
	if l.IP6.IsValid() {
		// The gateway address is the only one needed here.
		if err := set("/proc/sys/net/ipv6/conf/"+l.HostIf+"/addr_gen_mode", "1"); err != nil {
			return fmt.Errorf("set up %s: %w", l.HostIf, err)
		}
	}
	if published && l.IP4.IsValid() {
		// Answers to the host's 127.0.0.1 come back over this link. What a pod itself sends to 127.0.0.0/8 is
		// dropped by package firewall's first rule.
		if err := set("/proc/sys/net/ipv4/conf/"+l.HostIf+"/route_localnet", "1"); err != nil {
			return plugin.HostUnfit("publish ports on the host's loopback: %w", err)
		}
	}
	return nil
}

// loopback6 lets answers to the host's ::1 come back over the link, which IPv6 has no setting for: the kernel
// looks for a route to ::1 over the very link that the packet came in by, so there has to be one. A pod cannot
// use it: a packet for ::1 is dropped as it comes off a link, and answers bear that address only after that.
func loopback6(h *netlink.Handle, link netlink.Link) error {
	err := h.RouteReplace(&netlink.Route{
		LinkIndex: link.Attrs().Index, Dst: single(netip.IPv6Loopback()), Table: unix.RT_TABLE_LOCAL,
		Type: unix.RTN_LOCAL, Priority: 4096,
	})
	if err != nil {
		return fmt.Errorf("publish ports on the host's ::1: %w", err)
	}
	return nil
}

func gone(err error) bool {
	return errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOENT) || errors.As(err, new(netlink.LinkNotFoundError))
}

func single(ip netip.Addr) *net.IPNet { return prefix(netip.PrefixFrom(ip, ip.BitLen())) }

func prefix(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func unspecified(like netip.Addr) netip.Addr {
	if like.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

func family(ip netip.Addr) int {
	if ip.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
