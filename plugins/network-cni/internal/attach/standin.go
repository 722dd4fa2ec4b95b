package attach

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// standIn makes a namespace that looks like the one of a pod that is gone: a link of the same name with the addresses
// that the network answered. Programs given no namespace at all skip part of their DEL (bridge and ptp leave their
// masquerading rules behind); given this one they do everything. The kernel removes it when the file is closed.
func standIn(ifname string, result types.Result) (*os.File, error) {
	type answer struct {
		ns  *os.File
		err error
	}
	done := make(chan answer)
	go func() {
		// Never unlocked: the thread, which is in the new namespace, ends with the goroutine.
		runtime.LockOSThread()
		ns, err := furnish(ifname, result)
		done <- answer{ns, err}
	}()
	a := <-done
	if a.err != nil {
		return nil, fmt.Errorf("stand in for the pod's namespace: %w", a.err)
	}
	return a.ns, nil
}

func furnish(ifname string, result types.Result) (ns *os.File, err error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, err
	}
	if ns, err = os.Open("/proc/thread-self/ns/net"); err != nil {
		return nil, err
	}
	if result == nil {
		return ns, nil
	}
	res, err := types100.NewResultFromResult(result)
	if err != nil || len(res.IPs) == 0 {
		return ns, nil // nothing to show
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, errors.Join(err, ns.Close())
	}
	defer h.Close()
	link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: ifname, TxQLen: -1, Flags: net.FlagUp}, PeerName: "peer"}
	if err := h.LinkAdd(link); err != nil {
		return nil, errors.Join(err, ns.Close())
	}
	for _, ip := range res.IPs {
		addr := &netlink.Addr{IPNet: &ip.Address}
		if ip.Address.IP.To4() == nil {
			addr.Flags = unix.IFA_F_NODAD
		}
		if err := h.AddrAdd(link, addr); err != nil && !errors.Is(err, unix.EEXIST) {
			return nil, errors.Join(err, ns.Close())
		}
	}
	return ns, nil
}
