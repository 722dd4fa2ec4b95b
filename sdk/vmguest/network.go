package vmguest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/vmguest/agent"
)

// setNetwork makes the guest's network what the network step made of the pod's. The pod lives in the guest's own
// network namespace.
func setNetwork(ifaces []agent.Interface) error {
	if err := setLoopback(); err != nil {
		return err
	}
	// First every name, as two links may exchange theirs.
	links := make([]netlink.Link, len(ifaces))
	for n, i := range ifaces {
		err := await(func() (done bool, err error) {
			links[n], err = linkByMAC(i.MAC)
			return err == nil, err
		})
		if err != nil {
			return fmt.Errorf("interface %s: %w", i.Name, err)
		}
		if err := netlink.LinkSetDown(links[n]); err != nil {
			return fmt.Errorf("interface %s: set down: %w", i.Name, err)
		}
		if err := netlink.LinkSetName(links[n], fmt.Sprintf("rkt%d", n)); err != nil {
			return fmt.Errorf("interface %s: set name: %w", i.Name, err)
		}
	}
	for n, i := range ifaces {
		if err := setInterface(links[n], i); err != nil {
			return fmt.Errorf("interface %s: %w", i.Name, err)
		}
	}
	return nil
}

func setLoopback() error {
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo) // the kernel gives it its addresses
	}
	if err != nil {
		return fmt.Errorf("set loopback up: %w", err)
	}
	return nil
}

func linkByMAC(mac string) (netlink.Link, error) {
	want, err := net.ParseMAC(mac)
	if err != nil {
		return nil, err
	}
	links, err := netlink.LinkList()
	if err != nil {
		return nil, err
	}
	for _, l := range links {
		if l.Attrs().HardwareAddr.String() == want.String() {
			return l, nil
		}
	}
	return nil, fmt.Errorf("no network device of the machine has the address %s", mac)
}

func setInterface(l netlink.Link, i agent.Interface) error {
	if err := netlink.LinkSetName(l, i.Name); err != nil {
		return fmt.Errorf("set name: %w", err)
	}
	if i.MTU > 0 {
		if err := netlink.LinkSetMTU(l, int(i.MTU)); err != nil {
			return fmt.Errorf("set MTU %d: %w", i.MTU, err)
		}
	}
	if err := setSysctls(i.Sysctls); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(l); err != nil {
		return fmt.Errorf("set up: %w", err)
	}
	for _, a := range i.Addresses {
		addr, err := netlink.ParseAddr(a)
		if err != nil {
			return fmt.Errorf("address %s: %w", a, err)
		}
		if addr.IP.To4() == nil {
			addr.Flags = unix.IFA_F_NODAD // the host's side has looked for duplicates
		}
		if err := netlink.AddrAdd(l, addr); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("add address %s: %w", a, err)
		}
	}
	for _, r := range i.Routes {
		if err := addRoute(l, r); err != nil {
			return fmt.Errorf("add route to %s by %q: %w", r.Destination, r.Gateway, err)
		}
	}
	return nil
}

// addRoute adds one route. Without a gateway the destination is on the link itself.
func addRoute(l netlink.Link, r poddir.Route) error {
	_, dst, err := net.ParseCIDR(r.Destination)
	if err != nil {
		return err
	}
	route := &netlink.Route{LinkIndex: l.Attrs().Index, Dst: dst}
	if r.Gateway == "" {
		route.Scope = netlink.SCOPE_LINK
	} else if route.Gw = net.ParseIP(r.Gateway); route.Gw == nil {
		return fmt.Errorf("%q is no address", r.Gateway)
	}
	if err := netlink.RouteAdd(route); !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil
}

// setSysctls sets "net.ipv4.ip_forward" and the like. A name with a slash in it is taken as the path, for links
// whose names have dots.
func setSysctls(m map[string]string) error {
	for name, value := range m {
		path := name
		if !strings.Contains(name, "/") {
			path = strings.ReplaceAll(name, ".", "/")
		}
		if !filepath.IsLocal(path) {
			return fmt.Errorf("sysctl %q is not below /proc/sys", name)
		}
		if err := os.WriteFile(filepath.Join("/proc/sys", path), []byte(value), 0); err != nil {
			return fmt.Errorf("set sysctl %s=%s: %w", name, value, err)
		}
	}
	return nil
}
