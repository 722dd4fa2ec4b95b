package attach

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rkt/rkt/v2/plugins/network-cni/internal/firewall"
	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/network"
	"github.com/rkt/rkt/v2/sdk/plugin"
	"github.com/vishvananda/netlink"
)

func reasonOf(err error) reason.Reason {
	var e *plugin.Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

func TestDefaultNetwork(t *testing.T) {
	s := newSite(t)
	before := s.snapshot(t)
	a, b := s.up(t, nil), s.up(t, nil)
	t.Logf("%+v", a.setup)
	if got := a.setup.DNS; !slices.Equal(got.Nameservers, []string{"192.0.2.53"}) || !slices.Equal(got.Search, []string{"example.org"}) {
		t.Errorf("DNS is %+v", got)
	}
	serve(t, world.outside, "tcp", ":7000")
	for _, v6 := range []bool{false, true} {
		join := func(ip, port string) string {
			return netip.AddrPortFrom(netip.MustParseAddr(ip), 0).Addr().String() + port
		}
		_ = join
		serve(t, b.ns, map[bool]string{false: "tcp4", true: "tcp6"}[v6], ":80")
		out, hostIP := outside4, host4
		if v6 {
			out, hostIP = outside6, host6
		}
		mustAsk(t, "pod to pod", a.ns, "tcp", at(b.addr(t, v6), 80), a.addr(t, v6))
		mustAsk(t, "host to pod", nil, "tcp", at(b.addr(t, v6), 80), "")
		mustAsk(t, "pod to outside", a.ns, "tcp", at(out, 7000), hostIP)
		refused(t, "outside past masquerading", world.outside, at(b.addr(t, v6), 80))
	}
	if err := s.Check(context.Background(), a.Pod); err != nil {
		t.Errorf("check: %v", err)
	}
	again, err := s.Setup(context.Background(), a.request(nil, "default"))
	if err != nil || fmt.Sprint(again) != fmt.Sprint(a.setup) {
		t.Errorf("second setup: %v\n%+v\n%+v", err, again, a.setup)
	}
	for _, p := range []*pod{a, b, a} {
		if err := s.Teardown(context.Background(), p.Pod); err != nil {
			t.Fatal(err)
		}
	}
	s.unchanged(t, before)
	if err := s.Check(context.Background(), a.Pod); reasonOf(err) != reason.NetworkDamaged {
		t.Errorf("check after teardown: %v", err)
	}
}

func at(ip string, port uint16) string {
	return netip.AddrPortFrom(netip.MustParseAddr(ip), port).String()
}

// TestLinkGoesWithNamespace: Teardown beside a live namespace leaves the pair to the kernel, Teardown without one
// removes it.
func TestLinkGoesWithNamespace(t *testing.T) {
	s := newSite(t)
	for name, hold := range map[string]bool{"namespace held": true, "namespace lost": false} {
		t.Run(name, func(t *testing.T) {
			ours := func() (retiredLinks, all int) {
				links, err := netlink.LinkList()
				if err != nil {
					t.Fatal(err)
				}
				for _, l := range links {
					if !strings.HasPrefix(l.Attrs().Name, firewall.Prefix) {
						continue
					}
					if all++; retired(l) {
						retiredLinks++
					}
				}
				return retiredLinks, all
			}
			none := func(what string) {
				t.Helper()
				for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
					if _, all := ours(); all == 0 {
						return
					}
					if time.Now().After(deadline) {
						t.Fatal(what)
					}
				}
			}
			none("links of earlier tests outlive their namespaces")
			p := s.up(t, nil)
			pod, want := p.Pod, 1
			if !hold {
				pod.Netns, want = -1, 0
			}
			if err := s.Teardown(context.Background(), pod); err != nil {
				t.Fatal(err)
			}
			if r, all := ours(); r != want || all != want {
				t.Errorf("%d links, %d of them retired; want %d", all, r, want)
			}
			p.ns.Close()
			none("the link outlives its namespace")
		})
	}
}

func TestPublish(t *testing.T) {
	s := newSite(t)
	before := s.snapshot(t)
	p := s.up(t, []network.PortForward{
		tcp(8080, 80),
		{Protocol: "udp", HostPort: 5353, PodPort: 53},
		{Protocol: "tcp", HostIP: "127.0.0.1", HostPort: 8081, PodPort: 80},
		{Protocol: "tcp", HostIP: host6, HostPort: 8082, PodPort: 80},
	})
	neighbour := s.up(t, nil)
	serve(t, p.ns, "tcp", ":80")
	serve(t, p.ns, "udp4", p.addr(t, false)+":53")
	serve(t, p.ns, "udp6", at(p.addr(t, true), 53))
	for _, proto := range []string{"tcp", "udp"} {
		port := map[string]uint16{"tcp": 8080, "udp": 5353}[proto]
		mustAsk(t, "outside, v4", world.outside, proto, at(host4, port), outside4)
		mustAsk(t, "outside, v6", world.outside, proto, at(host6, port), outside6)
		mustAsk(t, "host, v4", nil, proto, at(host4, port), "")
		mustAsk(t, "host, v6", nil, proto, at(host6, port), "")
		mustAsk(t, "loopback, v4", nil, proto, at("127.0.0.1", port), "")
		mustAsk(t, "loopback, v6", nil, proto, at("::1", port), "")
		mustAsk(t, "neighbour, v4", neighbour.ns, proto, at(host4, port), neighbour.addr(t, false))
		mustAsk(t, "neighbour, v6", neighbour.ns, proto, at(host6, port), neighbour.addr(t, true))
		mustAsk(t, "itself, v4", p.ns, proto, at(host4, port), "")
		mustAsk(t, "itself, v6", p.ns, proto, at(host6, port), "")
	}
	mustAsk(t, "limited to 127.0.0.1, from the host", nil, "tcp", at("127.0.0.1", 8081), "")
	refused(t, "limited to 127.0.0.1, from outside", world.outside, at(host4, 8081))
	mustAsk(t, "limited to one address, v6", world.outside, "tcp", at(host6, 8082), outside6)
	refused(t, "limited to one address, another", world.outside, at(host4, 8082))

	// Host services on loopback stay out of reach of pods, although answers come back over their links.
	serve(t, mustHostNS(t), "tcp4", "127.0.0.1:7777")
	if err := inNS(p.ns, func() error { return routeLoopbackOut() }); err != nil {
		t.Fatal(err)
	}
	refused(t, "host's loopback from a pod", p.ns, at("127.0.0.1", 7777))

	for _, p := range []*pod{p, neighbour} {
		if err := s.Teardown(context.Background(), p.Pod); err != nil {
			t.Fatal(err)
		}
	}
	s.unchanged(t, before)
}

func TestPortInUse(t *testing.T) {
	s := newSite(t)
	p := s.up(t, []network.PortForward{tcp(8080, 80)})
	serve(t, mustHostNS(t), "tcp4", "0.0.0.0:9090")
	serve(t, mustHostNS(t), "udp", "127.0.0.1:9091")
	for name, tc := range map[string]struct {
		port network.PortForward
		says string
	}{
		"another pod":              {tcp(8080, 81), p.UUID},
		"another pod, one address": {network.PortForward{Protocol: "tcp", HostIP: host4, HostPort: 8080, PodPort: 1}, p.UUID},
		"program":                  {tcp(9090, 80), "0.0.0.0:9090"},
		"program, udp":             {network.PortForward{Protocol: "udp", HostPort: 9091, PodPort: 1}, "127.0.0.1:9091"},
	} {
		t.Run(name, func(t *testing.T) {
			before := s.snapshot(t)
			q := s.newPod(t)
			_, err := s.Setup(context.Background(), q.request([]network.PortForward{tcp(18080, 1), tc.port}, "default"))
			if reasonOf(err) != reason.PortInUse || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v (%s), want PORT_IN_USE with %s", err, reasonOf(err), tc.says)
			}
			s.unchanged(t, before)
		})
	}
	s.up(t, []network.PortForward{{Protocol: "udp", HostPort: 8080, PodPort: 80}, {Protocol: "tcp", HostIP: "::1", HostPort: 9090, PodPort: 1}})
}

func TestStaticAddress(t *testing.T) {
	s := newSite(t)
	p := s.newPod(t)
	req := p.request(nil, "default")
	req.Networks[0].Args = map[string]string{"IP": "10.86.1.2", "MAC": "02:00:00:00:00:07"}
	got, err := s.Setup(context.Background(), req)
	if err != nil {
		t.Fatal(err)
	}
	if i := got.Interfaces[0]; i.Addresses[0] != "10.86.1.2/32" || len(i.Addresses) != 2 || i.MAC != "02:00:00:00:00:07" {
		t.Errorf("got %+v", i)
	}
	for ip, want := range map[string]reason.Reason{
		"10.86.1.2": reason.AddressInUse, "10.99.0.1": reason.ConfigInvalid, "10.86.0.1": reason.ConfigInvalid,
		"10.86.0.0": reason.ConfigInvalid, "10.86.255.255": reason.ConfigInvalid, "x": reason.ConfigInvalid,
		"10.86.3.3,10.86.3.4": reason.ConfigInvalid,
	} {
		before := s.snapshot(t)
		q := s.newPod(t)
		req := q.request(nil, "default")
		req.Networks[0].Args = map[string]string{"IP": ip}
		_, err := s.Setup(context.Background(), req)
		if reasonOf(err) != want {
			t.Errorf("IP=%s: %v, want %s", ip, err, want)
		}
		if want == reason.AddressInUse && (!strings.Contains(err.Error(), ip) || !strings.Contains(err.Error(), "default")) {
			t.Errorf("%v names not both the network and the address", err)
		}
		s.unchanged(t, before)
	}
}

func TestRestricted(t *testing.T) {
	s := newSite(t)
	before := s.snapshot(t)
	a, b := s.up(t, nil, "default-restricted"), s.up(t, []network.PortForward{tcp(8088, 80)}, "default-restricted")
	serve(t, b.ns, "tcp", ":80")
	serve(t, world.outside, "tcp", ":7001")
	mustAsk(t, "pod to pod", a.ns, "tcp", at(b.addr(t, false), 80), a.addr(t, false))
	mustAsk(t, "published", world.outside, "tcp", at(host4, 8088), "")
	refused(t, "to outside", a.ns, at(outside4, 7001))
	// Even with a route of its own making.
	if err := inNS(a.ns, func() error { return defaultRoute("eth0", a.setup.Interfaces[0].Gateways[0]) }); err != nil {
		t.Fatal(err)
	}
	refused(t, "to outside with its own route", a.ns, at(outside4, 7001))
	for _, p := range []*pod{a, b} {
		if err := s.Teardown(context.Background(), p.Pod); err != nil {
			t.Fatal(err)
		}
	}
	s.unchanged(t, before)
}

func TestSpoofedSource(t *testing.T) {
	s := newSite(t)
	a, b := s.up(t, nil), s.up(t, nil)
	serve(t, b.ns, "tcp", ":80")
	if err := inNS(a.ns, func() error { return addresses("eth0", "10.86.200.200/32") }); err != nil {
		t.Fatal(err)
	}
	err := inNS(a.ns, func() error { return dialFrom("10.86.200.200", at(b.addr(t, false), 80)) })
	if err == nil {
		t.Error("a pod can send under an address that is not its own")
	}
}

func TestNetworksAndOrder(t *testing.T) {
	s := newSite(t)
	write(t, s.conf+"/10-lab.conflist", `{"cniVersion":"1.0.0","name":"lab","plugins":[{"type":"rkt-ptp","subnets":["10.200.0.0/24","fd12::/64"]}]}`)
	before := s.snapshot(t)
	p := s.up(t, nil, "lab", "default")
	if i := p.setup.Interfaces; i[0].Network != "lab" || i[0].Name != "eth0" || i[1].Network != "default" || i[1].Name != "eth1" ||
		!strings.HasPrefix(i[0].Addresses[0], "10.200.0.") || !strings.HasPrefix(i[0].Addresses[1], "fd12::") {
		t.Errorf("got %+v", i)
	}
	serve(t, world.outside, "tcp", ":7002")
	mustAsk(t, "over the second network", p.ns, "tcp", at(outside4, 7002), host4)
	if err := s.Teardown(context.Background(), p.Pod); err != nil {
		t.Fatal(err)
	}
	s.unchanged(t, before)

	_, err := s.Setup(context.Background(), s.newPod(t).request(nil, "default", "nowhere"))
	if reasonOf(err) != reason.NetworkNotFound || !strings.Contains(err.Error(), "lab, default, default-restricted") || !strings.Contains(err.Error(), s.conf) {
		t.Errorf("unknown network: %v", err)
	}
	s.unchanged(t, before)
}
