// Command rkt-network-veth connects each pod to the host, and to nothing else, by a pair of links with IPv6 addresses.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/sdk/network"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

func main() {
	network.Main(network.Info{Name: "network-veth", Version: "1.0.0", Types: []string{"veth"}}, links{})
}

type links struct{}

// Setup makes the pair, or finds it made by a former attempt: names and addresses are the pod's own.
func (links) Setup(_ context.Context, req network.SetupRequest) (network.Setup, error) {
	if len(req.Networks) != 1 || req.Networks[0].Name != "default" {
		return network.Setup{}, network.NotFound(`there is one network, "default"`)
	}
	if len(req.Ports) > 0 {
		return network.Setup{}, plugin.Unsupported("this network publishes no ports")
	}
	name, hostIP, podIP := identity(req.UUID)
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "eth0", PeerNamespace: netlink.NsFd(req.Netns)}
	if err := netlink.LinkAdd(pair); err != nil && !errors.Is(err, unix.EEXIST) {
		return network.Setup{}, err
	}
	pod, err := netlink.NewHandleAt(netns.NsHandle(req.Netns))
	if err != nil {
		return network.Setup{}, err
	}
	defer pod.Close()
	if _, err := up(&netlink.Handle{}, name, hostIP); err != nil {
		return network.Setup{}, err
	}
	eth0, err := up(pod, "eth0", podIP)
	if err != nil {
		return network.Setup{}, err
	}
	return network.Setup{Interfaces: []network.Interface{{
		Network: "default", Name: "eth0", MAC: eth0.HardwareAddr.String(), MTU: uint32(eth0.MTU),
		Addresses: []string{podIP.String() + "/127"}, Gateways: []string{hostIP.String()},
	}}}, nil
}

// Teardown takes the host's end away, and the other one with it. That it is gone already is a success.
func (links) Teardown(_ context.Context, pod network.Pod) error {
	name, _, _ := identity(pod.UUID)
	link, err := netlink.LinkByName(name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := netlink.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
		return err
	}
	return nil
}

// identity is what belongs to one pod alone: the name of the host's link, and the two addresses of a /127.
func identity(uuid string) (name string, host, pod net.IP) {
	sum := sha256.Sum256([]byte(uuid))
	host = append(net.IP{0xfd, 0x72, 0x6b, 0x74, 0, 0, 0, 0}, sum[:8]...)
	host[15] &^= 1
	pod = append(net.IP{}, host...)
	pod[15] |= 1
	return "rkt" + hex.EncodeToString(sum[:6]), host, pod
}

func up(h *netlink.Handle, name string, ip net.IP) (*netlink.LinkAttrs, error) {
	link, err := h.LinkByName(name)
	if err != nil {
		return nil, err
	}
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: ip, Mask: net.CIDRMask(127, 128)}, Flags: unix.IFA_F_NODAD}
	return link.Attrs(), errors.Join(h.AddrReplace(link, addr), h.LinkSetUp(link))
}
