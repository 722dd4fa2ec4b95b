package attach

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/plugins/network-cni/internal/conflist"
	"github.com/rkt/rkt/v2/plugins/network-cni/internal/firewall"
	"github.com/rkt/rkt/v2/plugins/network-cni/internal/hostnet"
	"github.com/rkt/rkt/v2/plugins/network-cni/internal/ledger"
	"github.com/rkt/rkt/v2/plugins/network-cni/internal/ptp"
	"github.com/rkt/rkt/v2/sdk/network"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// reserve claims the ports of a record and leases the addresses of its built-in networks. The caller holds the lock.
func (s *session) reserve(rec *ledger.Record) error {
	for _, p := range rec.Ports {
		err := s.led.Claim(p, rec.Pod)
		if taken := new(ledger.TakenError); errors.As(err, &taken) {
			return network.PortInUse("port %s is published by pod %s", p, taken.Pod).With("pod", taken.Pod)
		}
		if err != nil {
			return err
		}
	}
	for i := range rec.Attachments {
		a := &rec.Attachments[i]
		list, err := conflist.Parse(a.Config, "")
		if err != nil {
			return fmt.Errorf("read network %s: %w", a.Network, err)
		}
		conf, err := builtinConfig(list)
		if err != nil {
			return err
		}
		if conf == nil {
			continue
		}
		if err := s.link(rec.Pod, i, a, conf); err != nil {
			return err
		}
	}
	return nil
}

// release undoes reserve. The caller holds the lock.
func (s *session) release(rec *ledger.Record) error {
	var err error
	for _, p := range rec.Ports {
		err = errors.Join(err, s.led.Unclaim(p, rec.Pod))
	}
	for _, a := range rec.Attachments {
		if a.Link == nil {
			continue
		}
		for _, ip := range []netip.Addr{a.Link.IP4, a.Link.IP6} {
			if ip.IsValid() {
				err = errors.Join(err, s.led.Release(a.Network, ip, rec.Pod))
			}
		}
	}
	return err
}

// link fills a.Link.
func (s *session) link(pod string, i int, a *ledger.Attachment, conf *ptp.Config) error {
	routes, err := hostnet.ReadRoutes(unix.AF_INET)
	if err != nil {
		return err
	}
	sub4, sub6, err := s.subnets(a.Network, conf, routes)
	if err != nil {
		return err
	}
	l := &ledger.Link{
		HostIf: linkName(pod, i), HostMAC: mac(pod, a.IfName, "host"), PodMAC: mac(pod, a.IfName, "pod"),
		MTU: conf.MTU, Subnet4: sub4, Subnet6: sub6,
		Masquerade: conf.IPMasq && conf.IsDefaultGateway, DefaultRoute: conf.IsDefaultGateway,
	}
	if l.MTU == 0 {
		if l.MTU = routes.MTU; l.MTU < 1280 || l.MTU > 65535 {
			l.MTU = 1500
		}
	}
	if m := a.Args["MAC"]; m != "" {
		hw, err := net.ParseMAC(m)
		if err != nil || len(hw) != 6 || hw[0]&1 != 0 {
			return plugin.ConfigInvalid("network %q: MAC=%s is not a link's address", a.Network, m)
		}
		l.PodMAC = hw.String()
	}
	if sub4.IsValid() {
		l.Gateway4 = nth(sub4, 1)
	}
	if sub6.IsValid() {
		l.Gateway6 = nth(sub6, 1)
	}
	if err := s.lease(pod, a, l); err != nil {
		return err
	}
	a.Link = l
	return nil
}

// lease takes one address of each family, the same number in both ranges. The first try is a function of the pod's
// name, so no counter is kept, addresses are not reused soon, and a second Setup finds its own again.
func (s *session) lease(pod string, a *ledger.Attachment, l *ledger.Link) error {
	n := min(hosts(l.Subnet4), hosts(l.Subnet6))
	sum := sha256.Sum256([]byte(pod + "/" + a.IfName))
	first := binary.BigEndian.Uint64(sum[:]) % n
	if wish := a.Args["IP"]; wish != "" {
		return s.static(pod, a, l, wish, first)
	}
	for try := range n {
		// Numbers 0 and 1 are the network and the gateway.
		number := 2 + (first+try)%n
		ok, err := s.take(pod, a.Network, l, number)
		if err != nil || ok {
			return err
		}
	}
	return network.AddressInUse("network %q has no free address left in %s", a.Network, ranges(l))
}

// take leases number n of both ranges; false when one is taken.
func (s *session) take(pod, name string, l *ledger.Link, n uint64) (bool, error) {
	var got []netip.Addr
	for _, sub := range []netip.Prefix{l.Subnet4, l.Subnet6} {
		if !sub.IsValid() {
			continue
		}
		ip := nth(sub, n)
		err := s.led.Lease(name, ip, pod)
		if err == nil {
			got = append(got, ip)
			continue
		}
		for _, g := range got {
			err = errors.Join(err, s.led.Release(name, g, pod))
		}
		if errors.As(err, new(*ledger.TakenError)) {
			return false, nil
		}
		return false, err
	}
	for _, ip := range got {
		if ip.Is4() {
			l.IP4 = ip
		} else {
			l.IP6 = ip
		}
	}
	return true, nil
}

// static leases the addresses of IP=..., and for a family that it does not name any free one.
func (s *session) static(pod string, a *ledger.Attachment, l *ledger.Link, wish string, first uint64) error {
	for _, w := range strings.Split(wish, ",") {
		ip, err := netip.ParseAddr(strings.TrimSpace(w))
		if err != nil {
			if p, perr := netip.ParsePrefix(strings.TrimSpace(w)); perr == nil {
				ip, err = p.Addr(), nil
			}
		}
		if err != nil {
			return plugin.ConfigInvalid("network %q: IP=%s is not an IP address", a.Network, w)
		}
		sub, own, gw := l.Subnet4, &l.IP4, l.Gateway4
		if ip.Is6() {
			sub, own, gw = l.Subnet6, &l.IP6, l.Gateway6
		}
		switch {
		case own.IsValid():
			return plugin.ConfigInvalid("network %q: IP=%s names two addresses of one family", a.Network, wish)
		case !sub.IsValid() || !sub.Contains(ip):
			return plugin.ConfigInvalid("network %q: IP=%s is outside of %s", a.Network, ip, ranges(l))
		case ip == gw || ip == sub.Addr() || ip.Is4() && ip == nth(sub, size(sub)-1):
			return plugin.ConfigInvalid("network %q: IP=%s is the network's own", a.Network, ip)
		}
		err = s.led.Lease(a.Network, ip, pod)
		if taken := new(ledger.TakenError); errors.As(err, &taken) {
			return network.AddressInUse("address %s of network %q is in use by pod %s", ip, a.Network, taken.Pod).
				With("pod", taken.Pod)
		}
		if err != nil {
			return err
		}
		*own = ip
		a.Link = l // so that release sees what was leased so far
	}
	for _, sub := range []netip.Prefix{l.Subnet4, l.Subnet6} {
		if !sub.IsValid() || sub.Addr().Is4() && l.IP4.IsValid() || sub.Addr().Is6() && l.IP6.IsValid() {
			continue
		}
		one := &ledger.Link{Subnet4: sub}
		n := hosts(sub)
		found := false
		for try := uint64(0); try < n && !found; try++ {
			var err error
			if found, err = s.take(pod, a.Network, one, 2+(first+try)%n); err != nil {
				return err
			}
		}
		if !found {
			return network.AddressInUse("network %q has no free address left in %s", a.Network, sub)
		}
		if one.IP4.IsValid() {
			l.IP4 = one.IP4
		} else {
			l.IP6 = one.IP6
		}
	}
	return nil
}

// chosen are the ranges of a network that names none.
type chosen struct {
	V4 netip.Prefix `json:"v4"`
	V6 netip.Prefix `json:"v6"`
}

// subnets gives the ranges of a network. Those that the configuration names are used as they are; otherwise free
// ones are chosen, and kept for as long as the host has no other use for them.
func (s *session) subnets(name string, conf *ptp.Config, routes hostnet.Routes) (v4, v6 netip.Prefix, err error) {
	with6 := hostnet.HasIPv6()
	if len(conf.Subnets) > 0 {
		for _, p := range conf.Subnets {
			if p.Addr().Is4() {
				v4 = p
			} else if with6 {
				v6 = p
			}
		}
		if !v4.IsValid() && !v6.IsValid() {
			return v4, v6, plugin.HostUnfit("network %q has IPv6 alone, and this host has none", name)
		}
		return v4, v6, nil
	}
	all := map[string]chosen{}
	if err := s.led.ReadJSON("subnets.json", &all); err != nil {
		return v4, v6, err
	}
	c := all[name]
	changed := false
	if c.V4.IsValid() {
		// A range in which no pod lives can move out of the way.
		used, err := s.led.InUse(name)
		if err != nil {
			return v4, v6, err
		}
		if !used {
			if _, clash := routes.Clash(c.V4, firewall.Prefix); clash {
				c.V4 = netip.Prefix{}
			}
		}
	}
	if !c.V4.IsValid() {
		if c.V4, err = s.freeRange(name, routes, all); err != nil {
			return v4, v6, err
		}
		changed = true
	}
	if !c.V6.IsValid() {
		c.V6, changed = randomULA(), true
	}
	if changed {
		all[name] = c
		if err := s.led.WriteJSON("subnets.json", all); err != nil {
			return v4, v6, err
		}
	}
	if !with6 {
		return c.V4, v6, nil
	}
	return c.V4, c.V6, nil
}

// freeRange chooses an IPv4 range that neither the host's routes nor its name servers nor another network use.
func (s *session) freeRange(name string, routes hostnet.Routes, all map[string]chosen) (netip.Prefix, error) {
	dns, _ := hostnet.ReadDNS(s.ResolvConf)
	var tried []string
next:
	for _, p := range candidates() {
		for other, c := range all {
			if other != name && c.V4.IsValid() && c.V4.Overlaps(p) {
				continue next
			}
		}
		if u, clash := routes.Clash(p, firewall.Prefix); clash {
			tried = append(tried, fmt.Sprintf("%s (the host routes %s)", p, u))
			continue
		}
		for _, ns := range dns.Nameservers {
			if ip, err := netip.ParseAddr(ns); err == nil && p.Contains(ip) {
				tried = append(tried, fmt.Sprintf("%s (name server %s)", p, ns))
				continue next
			}
		}
		return p, nil
	}
	return netip.Prefix{}, plugin.HostUnfit("network %q: every private range is in use: %s; name one in a conflist: "+
		`"subnets": ["..."]`, name, strings.Join(tried, ", "))
}

// candidates are ranges that neither podman (10.88, 10.89), cri-o (10.85), docker (172.17-31, 192.168), flannel
// (10.244), k3s (10.42, 10.43) nor libvirt (192.168.122) takes by default.
func candidates() []netip.Prefix {
	var all []netip.Prefix
	for _, s := range []string{
		"10.86.0.0/16", "10.87.0.0/16", "10.83.0.0/16", "10.84.0.0/16", "10.186.0.0/16", "10.187.0.0/16",
		"172.16.0.0/16", "172.30.0.0/16", "100.86.0.0/16", "192.168.186.0/24", "192.168.187.0/24",
	} {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}

// randomULA is a /64 of RFC 4193, with a random global ID.
func randomULA() netip.Prefix {
	var b [16]byte
	_, _ = rand.Read(b[:8]) // does not fail (crypto/rand)
	b[0] = 0xfd
	return netip.PrefixFrom(netip.AddrFrom16(b), 64)
}

// size is the number of addresses of a range, at most 2^32.
func size(p netip.Prefix) uint64 { return 1 << min(p.Addr().BitLen()-p.Bits(), 32) }

// hosts is the number of addresses that pods can have: not the network's, the gateway's and the broadcast.
func hosts(p netip.Prefix) uint64 {
	if !p.IsValid() {
		return 1 << 62
	}
	return size(p) - 3
}

// nth is address number n of a range.
func nth(p netip.Prefix, n uint64) netip.Addr {
	if p.Addr().Is4() {
		b := p.Addr().As4()
		binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])+uint32(n))
		return netip.AddrFrom4(b)
	}
	b := p.Addr().As16()
	binary.BigEndian.PutUint64(b[8:], binary.BigEndian.Uint64(b[8:])+n)
	return netip.AddrFrom16(b)
}

func ranges(l *ledger.Link) string {
	var all []string
	for _, p := range []netip.Prefix{l.Subnet4, l.Subnet6} {
		if p.IsValid() {
			all = append(all, p.String())
		}
	}
	return strings.Join(all, " and ")
}

// linkName names the host's end after the pod, as far as 15 bytes go: 44 random bits of its UUID.
func linkName(pod string, i int) string {
	digits := strings.ReplaceAll(pod, "-", "")
	if _, err := hex.DecodeString(digits); err != nil || len(digits) != 32 || i > 0 {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s/%d", pod, i))
		digits = hex.EncodeToString(sum[:])
	}
	return firewall.Prefix + digits[:11]
}

// mac derives a locally administered address, so that a second Setup makes the same link.
func mac(pod, ifname, side string) string {
	sum := sha256.Sum256([]byte(pod + "/" + ifname + "/" + side))
	hw := net.HardwareAddr(sum[:6])
	hw[0] = hw[0]&^1 | 2
	return hw.String()
}
