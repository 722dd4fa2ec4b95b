package ptp

import (
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/plugins/network-cni/internal/ledger"
)

// Down removes the pair; its addresses, routes and neighbours go with it. The kernel may be doing the same, when the
// pod's namespace has just ended. The call waits until the kernel has freed the pair, some 10 ms; moving the
// link to a dying namespace instead is not faster (measured on Linux 6.18).
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
