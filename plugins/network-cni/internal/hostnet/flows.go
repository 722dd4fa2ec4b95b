package hostnet

import (
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/plugins/network-cni/internal/ledger"
)

// ForgetFlows drops the kernel's memory of UDP flows to published ports. Rewriting is decided by a flow's first packet, so a
// client that goes on sending from one port would be led to the pod that had the port before, or to none. TCP
// needs nothing: its next connection is a new flow. Best effort; a kernel that cannot do it forgets by itself after
// two minutes of silence.
func ForgetFlows(ports []ledger.Port) {
	for _, p := range ports {
		if p.Protocol != "udp" {
			continue
		}
		f := &netlink.ConntrackFilter{}
		if f.AddProtocol(unix.IPPROTO_UDP) != nil || f.AddPort(netlink.ConntrackOrigDstPort, p.HostPort) != nil {
			continue
		}
		for _, family := range []netlink.InetFamily{unix.AF_INET, unix.AF_INET6} {
			_, _ = netlink.ConntrackDeleteFilters(netlink.ConntrackTable, family, f)
		}
	}
}
