package firewall

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/plugins/network-cni/internal/ledger"
)

// alone puts the test's thread into a network namespace of its own, for good: the thread dies with the test.
func alone(t testing.TB) *Conn {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to make a network namespace")
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	c, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func entry(pod, link, ip4, ip6 string, ports ...ledger.Port) Entry {
	return Entry{
		Pod: pod, HostIf: link, IP4: netip.MustParseAddr(ip4), IP6: netip.MustParseAddr(ip6),
		Leave: true, Masquerade: true, Ports: ports,
	}
}

func two() []Entry {
	return []Entry{
		entry("a", "rkt-a", "10.86.0.2", "fd00:1::2",
			ledger.Port{Protocol: "tcp", HostPort: 8080, PodPort: 80},
			ledger.Port{Protocol: "udp", HostPort: 53, PodPort: 53, HostIP: netip.MustParseAddr("127.0.0.1")},
			ledger.Port{Protocol: "tcp", HostPort: 9, PodPort: 9, HostIP: netip.MustParseAddr("::1")}),
		entry("b", "rkt-b", "10.86.0.3", "fd00:1::3"),
	}
}

func ruleset(t testing.TB) string {
	t.Helper()
	nft, err := exec.LookPath("nft")
	if err != nil {
		return ""
	}
	out, err := exec.Command(nft, "list", "ruleset").CombinedOutput()
	if err != nil {
		t.Fatalf("nft list ruleset: %v\n%s", err, out)
	}
	return string(out)
}

func TestLifeOfTable(t *testing.T) {
	c := alone(t)
	if err := c.Add(two()); !errors.Is(err, ErrUnfit) {
		t.Fatalf("add without table: %v, want ErrUnfit", err)
	}
	if err := c.Remove(two()); err != nil {
		t.Fatalf("remove without table: %v", err)
	}
	if err := c.Replace(two()[:1]); err != nil {
		t.Fatal(err)
	}
	for range 2 { // idempotent
		if err := c.Add(two()); err != nil {
			t.Fatal(err)
		}
	}
	t.Log(ruleset(t))
	if m, x, err := c.Compare(two()); m || x || err != nil {
		t.Errorf("compare both: missing %v, extra %v, %v", m, x, err)
	}
	for range 2 {
		if err := c.Remove(two()[:1]); err != nil {
			t.Fatal(err)
		}
	}
	if m, x, err := c.Compare(two()); !m || x || err != nil {
		t.Errorf("compare with one gone: missing %v, extra %v, %v", m, x, err)
	}
	if m, x, err := c.Compare(nil); m || !x || err != nil {
		t.Errorf("compare with none wanted: missing %v, extra %v, %v", m, x, err)
	}
	for range 2 {
		if err := c.Drop(); err != nil {
			t.Fatal(err)
		}
	}
	if rs := ruleset(t); strings.TrimSpace(rs) != "" {
		t.Errorf("left behind:\n%s", rs)
	}
}

func BenchmarkAddRemove(b *testing.B) {
	c := alone(b)
	e := two()
	if err := c.Replace(e[1:]); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := c.Add(e[:1]); err != nil {
			b.Fatal(err)
		}
		if err := c.Remove(e[:1]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReplaceDrop(b *testing.B) {
	c := alone(b)
	for b.Loop() {
		if err := c.Replace(two()); err != nil {
			b.Fatal(err)
		}
		if err := c.Drop(); err != nil {
			b.Fatal(err)
		}
	}
}
