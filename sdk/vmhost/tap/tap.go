package tap

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Join makes tap number n, joins it with the interface of that name and takes the interface's addresses away. The
// result is the tap's descriptor, for the VMM; mac is the interface's.
func Join(iface string, n int) (tap *os.File, mac string, err error) {
	link, err := netlink.LinkByName(iface)
	if err != nil {
		return nil, "", fmt.Errorf("find interface %s of the pod: %w", iface, err)
	}
	name := "rkt-tap" + strconv.Itoa(n)
	tap, err = open(name)
	if err != nil {
		return nil, "", err
	}
	defer func() {
		if err != nil {
			tap.Close()
		}
	}()
	other, err := netlink.LinkByName(name)
	if err != nil {
		return nil, "", fmt.Errorf("find %s: %w", name, err)
	}
	for _, l := range []string{iface, name} {
		if err := silence(l); err != nil {
			return nil, "", err
		}
	}
	if err := flush(link); err != nil {
		return nil, "", fmt.Errorf("take addresses of %s: %w", iface, err)
	}
	if err := netlink.LinkSetMTU(other, link.Attrs().MTU); err != nil {
		return nil, "", fmt.Errorf("set MTU of %s: %w", name, err)
	}
	for _, p := range [][2]netlink.Link{{link, other}, {other, link}} {
		if err := redirect(p[0], p[1]); err != nil {
			return nil, "", fmt.Errorf("redirect %s to %s: %w", p[0].Attrs().Name, p[1].Attrs().Name, err)
		}
	}
	for _, l := range []netlink.Link{other, link} {
		if err := netlink.LinkSetUp(l); err != nil {
			return nil, "", fmt.Errorf("set %s up: %w", l.Attrs().Name, err)
		}
	}
	return tap, link.Attrs().HardwareAddr.String(), nil
}

// open makes a tap. Frames carry a virtio header, so that checksums and large segments pass through unmade. Reads
// block: kvmtool takes "try again" for the end of the network, and QEMU sets what it wants.
func open(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w (modprobe tun)", err)
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("make tap %s: %w", name, err)
	}
	// Not by the runtime's poller: the descriptor is another process's.
	return os.NewFile(uintptr(fd), name), nil
}

// silence keeps IPv6 off a link before it can make an address of its own. The files show the network namespace of
// the thread that opens them.
func silence(link string) error {
	err := os.WriteFile("/proc/sys/net/ipv6/conf/"+link+"/disable_ipv6", []byte("1"), 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a kernel without IPv6
	}
	if err != nil {
		return fmt.Errorf("keep IPv6 off %s: %w", link, err)
	}
	return nil
}

// flush removes the link's addresses, and by it its routes.
func flush(link netlink.Link) error {
	addrs, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return err
	}
	for i := range addrs {
		// disable_ipv6 has taken the ones of IPv6 already, perhaps since they were listed.
		if err := netlink.AddrDel(link, &addrs[i]); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return err
		}
	}
	return nil
}

// redirect sends every frame that comes in on from out of to. The u32 classifier is the one that every kernel has;
// a mask of nothing matches all.
func redirect(from, to netlink.Link) error {
	err := netlink.QdiscReplace(&netlink.Ingress{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: from.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_INGRESS,
	}})
	if err != nil {
		return fmt.Errorf("add ingress queue: %w", err)
	}
	return netlink.FilterAdd(&netlink.U32{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: from.Attrs().Index, Parent: netlink.MakeHandle(0xffff, 0), Priority: 1, Protocol: unix.ETH_P_ALL,
		},
		Actions: []netlink.Action{netlink.NewMirredAction(to.Attrs().Index)},
	})
}
