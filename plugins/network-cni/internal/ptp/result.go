package ptp

import (
	"net"
	"net/netip"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"

	"github.com/rkt/rkt/v2/plugins/network-cni/internal/ledger"
)

// Result tells a link in CNI's words. sandbox is the path of the pod's namespace.
func Result(version string, l *ledger.Link, ifname, sandbox string) (types.Result, error) {
	inPod := 1
	r := &types100.Result{
		CNIVersion: types100.ImplementedSpecVersion,
		Interfaces: []*types100.Interface{
			{Name: l.HostIf, Mac: l.HostMAC, Mtu: l.MTU},
			{Name: ifname, Mac: l.PodMAC, Mtu: l.MTU, Sandbox: sandbox},
		},
	}
	for i, ip := range []netip.Addr{l.IP4, l.IP6} {
		gw := []netip.Addr{l.Gateway4, l.Gateway6}[i]
		sub := []netip.Prefix{l.Subnet4, l.Subnet6}[i]
		if !ip.IsValid() {
			continue
		}
		r.IPs = append(r.IPs, &types100.IPConfig{Interface: &inPod, Address: *single(ip), Gateway: gw.AsSlice()})
		// The gateway is not in the address's range, so its own route comes first, as the kernel wants it.
		r.Routes = append(r.Routes, &types.Route{Dst: *single(gw), GW: net.IP(unspecified(ip).AsSlice())})
		to := sub
		if l.DefaultRoute {
			to = netip.PrefixFrom(unspecified(ip), 0)
		}
		r.Routes = append(r.Routes, &types.Route{Dst: *prefix(to), GW: gw.AsSlice()})
	}
	return r.GetAsVersion(version)
}
