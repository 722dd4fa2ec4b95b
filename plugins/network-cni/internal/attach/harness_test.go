package attach

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/plugins/network-cni/internal/firewall"
	"github.com/rkt/rkt/v2/sdk/network"
)

// The tests run in a network namespace that plays the host: TestMain starts the binary again in one of its own, so
// that the real host's rules and links are never touched. With RKT_TEST_VERB it is one verb of the plugin, for
// tests that kill it or take its capabilities away.
const (
	envHost = "RKT_TEST_HOST"
	envVerb = "RKT_TEST_VERB"
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	if v := os.Getenv(envVerb); v != "" {
		return verb(v)
	}
	if os.Geteuid() != 0 || os.Getenv(envHost) != "" {
		if os.Getenv(envHost) != "" {
			if err := makeHost(); err != nil {
				fmt.Fprintln(os.Stderr, "make the host's namespace:", err)
				return 1
			}
		}
		defer removePrograms()
		return m.Run()
	}
	c := exec.Command("/proc/self/exe", os.Args[1:]...)
	c.Env = append(os.Environ(), envHost+"=1")
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err := c.Run()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "make a network namespace for the tests:", err)
		return 1
	}
	return 0
}

func needHost(t testing.TB) {
	t.Helper()
	if os.Getenv(envHost) == "" {
		t.Skip("needs root: makes network namespaces")
	}
}

// Addresses of the link between host and outside.
const (
	host4, outside4 = "203.0.113.1", "203.0.113.2"
	host6, outside6 = "2001:db8::1", "2001:db8::2"
)

// world is where the "outside" namespace is kept.
var world struct {
	outside *os.File
	uplink  int
}

func makeHost() error {
	if err := upLink("lo"); err != nil {
		return err
	}
	ns, err := newNS()
	if err != nil {
		return err
	}
	world.outside = ns
	veth := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: "uplink", TxQLen: -1}, PeerName: "wire", PeerNamespace: netlink.NsFd(ns.Fd()),
	}
	if err := netlink.LinkAdd(veth); err != nil {
		return err
	}
	// No link-local address, which would appear in the middle of some test.
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/uplink/addr_gen_mode", []byte("1"), 0); err != nil {
		return err
	}
	if err := addresses("uplink", host4+"/24", host6+"/64"); err != nil {
		return err
	}
	err = inNS(ns, func() error {
		return errors.Join(upLink("lo"), addresses("wire", outside4+"/24", outside6+"/64"))
	})
	if err != nil {
		return err
	}
	l, err := netlink.LinkByName("uplink")
	if err != nil {
		return err
	}
	world.uplink = l.Attrs().Index
	for _, gw := range []string{outside4, outside6} {
		_, all, _ := net.ParseCIDR("0.0.0.0/0")
		if strings.Contains(gw, ":") {
			_, all, _ = net.ParseCIDR("::/0")
		}
		if err := netlink.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: all, Gw: net.ParseIP(gw)}); err != nil {
			return err
		}
	}
	return nil
}

func upLink(name string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(l)
}

func addresses(link string, cidrs ...string) error {
	l, err := netlink.LinkByName(link)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(l); err != nil {
		return err
	}
	for _, c := range cidrs {
		a, err := netlink.ParseAddr(c)
		if err != nil {
			return err
		}
		if a.IP.To4() == nil {
			a.Flags = unix.IFA_F_NODAD
		}
		if err := netlink.AddrAdd(l, a); err != nil {
			return err
		}
	}
	return nil
}

// newNS makes a network namespace that lives as long as the file.
func newNS() (*os.File, error) {
	type answer struct {
		f   *os.File
		err error
	}
	done := make(chan answer)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- answer{nil, err}
			return
		}
		f, err := os.Open("/proc/thread-self/ns/net")
		done <- answer{f, err}
	}()
	a := <-done
	return a.f, a.err
}

// inNS runs f on a thread in the namespace.
func inNS(ns *os.File, f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

// pod is a pod of a test.
type pod struct {
	network.Pod
	ns    *os.File
	setup network.Setup
}

// site is one shared directory and its engine.
type site struct {
	*Engine
	shared, conf string
}

func newSite(t testing.TB) *site {
	t.Helper()
	needHost(t)
	dir := t.TempDir()
	resolv := filepath.Join(dir, "resolv.conf")
	write(t, resolv, "nameserver 127.0.0.53\nnameserver 192.0.2.53\nsearch example.org\n")
	s := &site{
		Engine: &Engine{Programs: []string{filepath.Join(dir, "bin")}, ResolvConf: []string{resolv}},
		shared: filepath.Join(dir, "shared"), conf: filepath.Join(dir, "net.d"),
	}
	for _, d := range []string{s.shared, s.conf} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s *site) newPod(t testing.TB) *pod {
	t.Helper()
	ns, err := newNS()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	id := uuid.NewString()
	dir := filepath.Join(t.TempDir(), id)
	state := filepath.Join(dir, "net", "state")
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	p := &pod{ns: ns}
	p.Pod = network.Pod{
		UUID: id, StateDir: state, SharedDir: s.shared, ConfigDirs: []string{s.conf}, Netns: int(ns.Fd()),
	}
	t.Cleanup(func() {
		if err := s.Teardown(context.Background(), p.Pod); err != nil {
			t.Errorf("tear down in the end: %v", err)
		}
	})
	return p
}

func (p *pod) request(ports []network.PortForward, nets ...string) network.SetupRequest {
	r := network.SetupRequest{Pod: p.Pod, Ports: ports}
	for _, n := range nets {
		r.Networks = append(r.Networks, network.Request{Name: n})
	}
	return r
}

// up sets a new pod up.
func (s *site) up(t testing.TB, ports []network.PortForward, nets ...string) *pod {
	t.Helper()
	p := s.newPod(t)
	if len(nets) == 0 {
		nets = []string{"default"}
	}
	got, err := s.Setup(context.Background(), p.request(ports, nets...))
	if err != nil {
		t.Fatalf("setup: %v", err)
	}
	p.setup = got
	return p
}

func (p *pod) addr(t testing.TB, v6 bool) string {
	t.Helper()
	for _, i := range p.setup.Interfaces {
		for _, a := range i.Addresses {
			if ip := netip.MustParsePrefix(a).Addr(); ip.Is6() == v6 {
				return ip.String()
			}
		}
	}
	t.Fatalf("no address in %+v", p.setup)
	return ""
}

// serve answers every connection or datagram in a namespace with the peer's address as seen there.
func serve(t testing.TB, ns *os.File, proto, addr string) {
	t.Helper()
	if strings.HasPrefix(proto, "udp") {
		var c net.PacketConn
		err := inNS(ns, func() (err error) { c, err = net.ListenPacket(proto, addr); return err })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		go func() {
			b := make([]byte, 100)
			for {
				_, from, err := c.ReadFrom(b)
				if err != nil {
					return
				}
				_, _ = c.WriteTo([]byte(host(from)), from)
			}
		}()
		return
	}
	var l net.Listener
	err := inNS(ns, func() (err error) { l, err = net.Listen(proto, addr); return err })
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, host(c.RemoteAddr()))
			c.Close()
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
}

func host(a net.Addr) string {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return a.String()
	}
	return ap.Addr().Unmap().String()
}

// ask connects from a namespace (nil: the host) and returns what the server said.
func ask(ns *os.File, proto, addr string) (string, error) {
	var said string
	f := func() error {
		d := net.Dialer{Timeout: 2 * time.Second, FallbackDelay: -1}
		c, err := d.Dial(proto, addr)
		if err != nil {
			return err
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(2 * time.Second))
		if strings.HasPrefix(proto, "udp") {
			if _, err := c.Write([]byte("hello")); err != nil {
				return err
			}
			b := make([]byte, 100)
			n, err := c.Read(b)
			said = string(b[:n])
			return err
		}
		b, err := io.ReadAll(c)
		said = string(b)
		return err
	}
	if ns == nil {
		return said, f()
	}
	err := inNS(ns, f)
	return said, err
}

func mustAsk(t *testing.T, what string, ns *os.File, proto, addr, want string) {
	t.Helper()
	said, err := ask(ns, proto, addr)
	if err != nil {
		t.Errorf("%s: %s %s: %v", what, proto, addr, err)
	} else if want != "" && said != want {
		t.Errorf("%s: %s %s: the server saw %s, want %s", what, proto, addr, said, want)
	}
}

// refused makes sure that nothing answers. It waits for a refusal or a time-out shorter than ask's.
func refused(t *testing.T, what string, ns *os.File, addr string) {
	t.Helper()
	err := inNS(ns, func() error {
		c, err := net.DialTimeout("tcp", addr, 300*time.Millisecond)
		if err == nil {
			c.Close()
		}
		return err
	})
	if err == nil {
		t.Errorf("%s: %s answers", what, addr)
	}
}

// snapshot is all that a pod may leave on the host.
func (s *site) snapshot(t testing.TB) string {
	t.Helper()
	var sb strings.Builder
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		// The pair goes with the pod's namespace, which the test still holds, or has just gone.
		addrs, _ := netlink.AddrList(l, unix.AF_UNSPEC)
		if len(addrs) == 0 && retired(l) {
			continue
		}
		fmt.Fprintln(&sb, "link", l.Attrs().Name)
		for _, a := range addrs {
			if !a.IP.IsLinkLocalUnicast() {
				fmt.Fprintln(&sb, "address", a.IPNet)
			}
		}
	}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		r, err := netlink.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range r {
			if r.Type == unix.RTN_ANYCAST || r.LinkIndex == world.uplink {
				continue // come and go with forwarding and carrier
			}
			if r.Table == unix.RT_TABLE_LOCAL {
				continue // the kernel's own, for the addresses: some time after them
			}
			fmt.Fprintln(&sb, "route", r.Dst, r.Table)
		}
	}
	if nft, err := exec.LookPath("nft"); err == nil {
		out, err := exec.Command(nft, "list", "ruleset").CombinedOutput()
		if err != nil {
			t.Fatalf("nft: %v: %s", err, out)
		}
		sb.Write(regexp.MustCompile(`packets \d+ bytes \d+`).ReplaceAll(out, []byte("counted")))
	}
	err = filepath.WalkDir(s.shared, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != ".tmp" {
			rel, _ := filepath.Rel(s.shared, path)
			if rel != "lock" && rel != "subnets.json" && rel != "host.json" {
				fmt.Fprintln(&sb, "file", rel)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sb.String()
}

// retired says whether a link is one of ours that nothing is sent over any more.
func retired(l netlink.Link) bool {
	return l.Type() == "veth" && strings.HasPrefix(l.Attrs().Name, firewall.Prefix) && l.Attrs().Flags&net.FlagUp == 0
}

func (s *site) unchanged(t testing.TB, before string) {
	t.Helper()
	if after := s.snapshot(t); after != before {
		t.Errorf("left behind; before:\n%s\nafter:\n%s", before, after)
	}
}

func tcp(hostPort, podPort uint16) network.PortForward {
	return network.PortForward{Protocol: "tcp", HostPort: hostPort, PodPort: podPort}
}

// order is what a helper process is told to do.
type order struct {
	Verb     string
	Request  network.SetupRequest
	Programs []string
	Resolv   []string
}

// command makes a process of the plugin that does one verb with CAP_NET_ADMIN and CAP_SYS_ADMIN alone, as core starts it.
func (s *site) command(t testing.TB, verb string, req network.SetupRequest, ns *os.File) *exec.Cmd {
	t.Helper()
	if ns != nil {
		req.Netns = 3
	} else {
		req.Netns = -1
	}
	b, err := json.Marshal(order{verb, req, s.Programs, s.ResolvConf})
	if err != nil {
		t.Fatal(err)
	}
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		t.Skip("needs setpriv of util-linux")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(setpriv, "--bounding-set=-all,+net_admin,+sys_admin", "--inh-caps=-all", "--no-new-privs", exe)
	c.Env = []string{envVerb + "=" + string(b)}
	if ns != nil {
		c.ExtraFiles = []*os.File{ns}
	}
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return c
}

func verb(text string) int {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		panic(err)
	}
	e := &Engine{Programs: o.Programs, ResolvConf: o.Resolv}
	var err error
	switch o.Verb {
	case "setup":
		_, err = e.Setup(context.Background(), o.Request)
	case "teardown":
		err = e.Teardown(context.Background(), o.Request.Pod)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
