package attach

import (
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func mustHostNS(t testing.TB) *os.File {
	t.Helper()
	f, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// routeLoopbackOut does what a pod with CAP_NET_ADMIN could: send packets for 127.0.0.1 to the host.
func routeLoopbackOut() error {
	l, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	_, lo, _ := net.ParseCIDR("127.0.0.0/8")
	own, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.AddrDel(own, &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(127, 0, 0, 1), Mask: lo.Mask}}); err != nil {
		return err
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/conf/all/route_localnet", []byte("1"), 0); err != nil {
		return err
	}
	r, err := netlink.RouteList(l, unix.AF_INET)
	if err != nil {
		return err
	}
	for _, r := range r {
		if r.Gw != nil {
			return netlink.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: lo, Gw: r.Gw})
		}
	}
	return nil
}

func defaultRoute(link, gw string) error {
	l, err := netlink.LinkByName(link)
	if err != nil {
		return err
	}
	_, all, _ := net.ParseCIDR("0.0.0.0/0")
	return netlink.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: all, Gw: net.ParseIP(gw)})
}

func dialFrom(source, addr string) error {
	d := net.Dialer{Timeout: 300 * time.Millisecond, LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
	c, err := d.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = io.ReadAll(c)
	return err
}

func lockFile(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX) }
