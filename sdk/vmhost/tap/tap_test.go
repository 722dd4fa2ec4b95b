package tap

import (
	"bytes"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// inNamespace takes the test's thread into a new network namespace, and runs f there.
func inNamespace(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: network namespaces")
	}
	runtime.LockOSThread() // never unlocked: the thread ends with the test's goroutine
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skip(err)
	}
	f(t)
}

// packets opens a socket for every frame of a link.
func packets(t *testing.T, link netlink.Link) int {
	t.Helper()
	const all = unix.ETH_P_ALL>>8 | unix.ETH_P_ALL&0xff<<8 // in network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: link.Attrs().Index})
	}
	if err == nil {
		err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 30})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func TestJoin(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0", MTU: 1400}, PeerName: "outside"}
		if err := netlink.LinkAdd(veth); err != nil {
			t.Skip(err)
		}
		eth0, err := netlink.LinkByName("eth0")
		if err != nil {
			t.Fatal(err)
		}
		outside, err := netlink.LinkByName("outside")
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range []string{"10.1.2.3/24", "fd00::3/64"} {
			addr, err := netlink.ParseAddr(a)
			if err == nil {
				err = netlink.AddrAdd(eth0, addr)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, l := range []netlink.Link{eth0, outside} {
			if err := netlink.LinkSetUp(l); err != nil {
				t.Fatal(err)
			}
		}
		guest, mac, err := Join("eth0", 0)
		if err != nil {
			t.Fatal(err)
		}
		defer guest.Close()
		if flags, err := unix.FcntlInt(guest.Fd(), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
			t.Errorf("flags of the tap are %#x, %v: kvmtool's reads must block", flags, err)
		}
		if mac != eth0.Attrs().HardwareAddr.String() {
			t.Errorf("MAC %s", mac)
		}
		for _, name := range []string{"eth0", "rkt-tap0"} {
			l, err := netlink.LinkByName(name)
			if err != nil {
				t.Fatal(err)
			}
			if addrs, err := netlink.AddrList(l, netlink.FAMILY_ALL); err != nil || len(addrs) != 0 || l.Attrs().MTU != 1400 {
				t.Errorf("%s has %v, MTU %d, %v", name, addrs, l.Attrs().MTU, err)
			}
		}
		frame := append(bytes.Repeat([]byte{0xff}, 6), 2, 0, 0, 0, 0, 9, 0x88, 0xb5) // an EtherType for experiments
		frame = append(frame, bytes.Repeat([]byte("to the guest "), 8)...)
		peer := packets(t, outside)
		if _, err := unix.Write(peer, frame); err != nil {
			t.Fatal(err)
		}
		if got := read(t, int(guest.Fd()), 10, "to the guest"); !bytes.Equal(got, frame) {
			t.Errorf("the guest got %q", got)
		}
		back := bytes.ReplaceAll(frame, []byte("to the guest"), []byte("to the world"))
		if _, err := unix.Write(int(guest.Fd()), append(make([]byte, 10), back...)); err != nil { // a header that says nothing
			t.Fatal(err)
		}
		if got := read(t, peer, 0, "to the world"); !bytes.Equal(got, back) {
			t.Errorf("outside got %q", got)
		}
	})
}

// read returns the first frame with the text in it; the links' own chatter comes between.
func read(t *testing.T, fd, header int, text string) []byte {
	t.Helper()
	buf := make([]byte, 2048)
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		ready, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 1000)
		if err != nil && err != unix.EINTR {
			t.Fatal(err)
		}
		if ready <= 0 {
			continue
		}
		n, err := unix.Read(fd, buf)
		if err == unix.EAGAIN || err == unix.EINTR {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if n > header && bytes.Contains(buf[:n], []byte(text)) {
			return bytes.Clone(buf[header:n])
		}
	}
	t.Fatalf("no frame with %q", text)
	return nil
}

func TestJoinNothing(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		if _, _, err := Join("eth7", 0); err == nil {
			t.Error("an interface that is not there was joined")
		}
	})
}
