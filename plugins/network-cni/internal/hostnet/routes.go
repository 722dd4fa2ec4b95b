package hostnet

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Routes is what the host's routing says about address ranges and about the way out.
type Routes struct {
	Used []Used // networks that the host reaches by a route of its own, default routes left out
	MTU  int    // of the way out; 0 when there is none
}

// Used is a network in use.
type Used struct {
	Prefix netip.Prefix
	Link   int // index
}

// ReadRoutes reads the main table of one family (unix.AF_INET, AF_INET6).
func ReadRoutes(family int) (Routes, error) {
	var r Routes
	routes, err := dump(func() ([]netlink.Route, error) { return netlink.RouteList(nil, family) })
	if err != nil {
		return r, fmt.Errorf("read the host's routes: %w", err)
	}
	for _, rt := range routes {
		if rt.Dst != nil && !rt.Dst.IP.IsUnspecified() {
			ones, _ := rt.Dst.Mask.Size()
			if ip, ok := netip.AddrFromSlice(rt.Dst.IP); ok {
				r.Used = append(r.Used, Used{netip.PrefixFrom(ip.Unmap(), ones).Masked(), rt.LinkIndex})
			}
			continue
		}
		if r.MTU != 0 {
			continue
		}
		index := rt.LinkIndex
		if index == 0 && len(rt.MultiPath) > 0 {
			index = rt.MultiPath[0].LinkIndex
		}
		if l, err := netlink.LinkByIndex(index); err == nil {
			r.MTU = l.Attrs().MTU
		}
	}
	return r, nil
}

// Clash gives a network in use that overlaps p. Those over links whose names start with own are not meant.
func (r Routes) Clash(p netip.Prefix, own string) (netip.Prefix, bool) {
	for _, u := range r.Used {
		if !p.Overlaps(u.Prefix) {
			continue
		}
		if l, err := netlink.LinkByIndex(u.Link); err == nil && strings.HasPrefix(l.Attrs().Name, own) {
			continue
		}
		return u.Prefix, true
	}
	return netip.Prefix{}, false
}

// dump asks again when the table changed while it was read.
func dump[T any](list func() ([]T, error)) ([]T, error) {
	for try := 0; ; try++ {
		all, err := list()
		if !errors.Is(err, netlink.ErrDumpInterrupted) && !errors.Is(err, unix.EINTR) || try == 10 {
			return all, err
		}
	}
}
