package vmguest

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/vmguest/agent"
)

// inNetns runs f in a network namespace of its own.
func inNetns(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: network namespaces")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine, and the namespace with it
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}

func TestSetNetwork(t *testing.T) {
	inNetns(t, func() {
		for n, name := range []string{"eth0", "eth1"} {
			mac, _ := net.ParseMAC(fmt.Sprintf("02:00:00:00:00:0%d", n))
			attrs := netlink.NewLinkAttrs()
			attrs.Name, attrs.HardwareAddr = name, mac
			if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "p" + name}); err != nil {
				t.Error(err)
				return
			}
			if peer, err := netlink.LinkByName("p" + name); err != nil || netlink.LinkSetUp(peer) != nil {
				t.Error(err)
			}
		}
		// The two exchange their names.
		err := setNetwork([]agent.Interface{
			{
				MAC: "02:00:00:00:00:01", Name: "eth0", MTU: 1300, Addresses: []string{"192.0.2.9/32", "2001:db8::9/128"},
				Routes: []poddir.Route{
					{Destination: "192.0.2.1/32"}, {Destination: "0.0.0.0/0", Gateway: "192.0.2.1"},
					{Destination: "2001:db8::1/128"}, {Destination: "::/0", Gateway: "2001:db8::1"},
				},
			},
			{MAC: "02:00:00:00:00:00", Name: "eth1", Addresses: []string{"198.51.100.3/24"}, Sysctls: map[string]string{"net/ipv4/conf/eth1/rp_filter": "2"}},
		})
		if err != nil {
			t.Error(err)
			return
		}
		for name, mac := range map[string]string{"eth0": "02:00:00:00:00:01", "eth1": "02:00:00:00:00:00"} {
			l, err := netlink.LinkByName(name)
			if err != nil || l.Attrs().HardwareAddr.String() != mac || l.Attrs().Flags&net.FlagUp == 0 {
				t.Errorf("%s: %+v, %v", name, l, err)
				continue
			}
			if name == "eth0" && l.Attrs().MTU != 1300 {
				t.Errorf("MTU is %d", l.Attrs().MTU)
			}
		}
		l, _ := netlink.LinkByName("eth0")
		routes, err := netlink.RouteList(l, netlink.FAMILY_ALL)
		var got []string
		for _, r := range routes {
			if r.Gw != nil {
				got = append(got, r.Gw.String())
			}
		}
		slices.Sort(got)
		if err != nil || !slices.Equal(got, []string{"192.0.2.1", "2001:db8::1"}) {
			t.Errorf("gateways are %v, %v", got, err)
		}
		if b, err := os.ReadFile("/proc/thread-self/net/if_inet6"); err != nil || len(b) == 0 {
			t.Errorf("no IPv6 addresses: %v", err)
		}
		if lo, err := netlink.LinkByName("lo"); err != nil || lo.Attrs().Flags&net.FlagUp == 0 {
			t.Errorf("loopback: %v", err)
		}
		// A route whose gateway cannot be reached names itself.
		err = addRoute(l, poddir.Route{Destination: "10.0.0.0/8", Gateway: "203.0.113.1"})
		if err == nil {
			t.Error("a gateway out of reach is taken")
		}
	})
}
