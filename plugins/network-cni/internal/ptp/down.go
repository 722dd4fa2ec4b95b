package ptp

import (
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/plugins/network-cni/internal/ledger"
)

// Retire takes the pair out of use: no address, route or neighbour is left on the host. The pair itself goes with the
// pod's network namespace, which somebody must be about to let go of. That is asynchronous; Down would wait 15 to
// 40 ms for the same (measured on Linux 6.18), at the end of every pod.
func Retire(l *ledger.Link) error {
	host, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("connect to netlink: %w", err)
	}
	defer host.Close()
	link, err := host.LinkByName(l.HostIf)
	if err == nil {
		err = host.LinkSetDown(link) // with it go its routes, neighbours and IPv6 addresses
	}
	if err == nil {
		err = dropAddresses(host, link)
	}
	if err != nil && !gone(err) {
		return fmt.Errorf("retire link %s: %w", l.HostIf, err)
	}
	return nil
}

func dropAddresses(h *netlink.Handle, link netlink.Link) error {
	addrs, err := h.AddrList(link, unix.AF_INET)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		if err := h.AddrDel(link, &a); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return err
		}
	}
	return nil
}

// Down removes the pair; its addresses, routes and neighbours go with it. The kernel may be doing the same, when the
// pod's namespace has just ended. The call waits until the kernel has freed the pair; moving the link to a dying
// namespace instead is not faster.
func Down(l *ledger.Link) error {
	host, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("connect to netlink: %w", err)
	}
	defer host.Close()
	for try := 0; ; try++ {
		link, err := host.LinkByName(l.HostIf)
		if err == nil {
			err = host.LinkDel(link)
		}
		if err == nil || gone(err) {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.EINTR) || try == 10 {
			return fmt.Errorf("remove link %s: %w", l.HostIf, err)
		}
		time.Sleep(time.Millisecond)
	}
}
