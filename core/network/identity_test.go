package network

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
)

func host(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Skip(err)
	}
	return string(b)
}

func TestWriteIdentity(t *testing.T) {
	const local = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
	answer := poddir.Network{
		Mode:       poddir.NetworkPlugin,
		Interfaces: []poddir.Interface{{Network: "default", Name: "eth0", Addresses: []string{"172.16.28.2/24", "fd00::2/64"}}},
		DNS:        poddir.DNS{Nameservers: []string{"10.0.0.1"}, Search: []string{"net.example"}, Options: []string{"ndots:1"}, Domain: "net.example"},
	}
	for _, c := range []struct {
		name   string
		id     Identity
		net    poddir.Network
		hosts  string
		resolv string // "-": not written
	}{
		{"the network's answer", Identity{Hostname: "web"}, answer,
			local + "172.16.28.2 web\nfd00::2 web\n",
			"domain net.example\nsearch net.example\nnameserver 10.0.0.1\noptions ndots:1\n"},
		{"flags", Identity{Hostname: "web", DNSMode: DNSFlags, DNS: poddir.DNS{Nameservers: []string{"8.8.8.8", "9.9.9.9"}, Search: []string{"a", "b"}}}, answer,
			local + "172.16.28.2 web\nfd00::2 web\n",
			"search a b\nnameserver 8.8.8.8\nnameserver 9.9.9.9\n"},
		{"search alone keeps the network's servers", Identity{Hostname: "web", DNSMode: DNSFlags, DNS: poddir.DNS{Search: []string{"a"}}}, answer,
			local + "172.16.28.2 web\nfd00::2 web\n", "search a\nnameserver 10.0.0.1\n"},
		{"none", Identity{Hostname: "web", DNSMode: DNSNone}, answer, local + "172.16.28.2 web\nfd00::2 web\n", "-"},
		{"host's resolv.conf", Identity{Hostname: "web", DNSMode: DNSHost}, answer, local + "172.16.28.2 web\nfd00::2 web\n", "host"},
		{"no network", Identity{Hostname: "web"}, poddir.Network{Mode: poddir.NetworkNone}, local + "127.0.0.1 web\n", "-"},
		{"the host's network", Identity{Hostname: "web"}, poddir.Network{Mode: poddir.NetworkHost}, local + "127.0.0.1 web\n", "host"},
		{"hosts entries", Identity{Hostname: "web", Hosts: []string{"1.2.3.4 db"}}, poddir.Network{Mode: poddir.NetworkNone}, local + "127.0.0.1 web\n1.2.3.4 db\n", "-"},
		{"the host's hosts", Identity{Hostname: "web", HostsOf: true, Hosts: []string{"1.2.3.4 db"}}, poddir.Network{Mode: poddir.NetworkNone}, "host", "-"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := WriteIdentity(dir, c.id, c.net); err != nil {
				t.Fatal(err)
			}
			want := map[string]string{"hostname": c.id.Hostname + "\n", "hosts": c.hosts, "resolv.conf": c.resolv}
			if c.hosts == "host" {
				want["hosts"] = host(t, "/etc/hosts") + "1.2.3.4 db\n"
			}
			if c.resolv == "host" {
				want["resolv.conf"] = host(t, "/etc/resolv.conf")
			}
			for name, w := range want {
				b, err := os.ReadFile(filepath.Join(dir, poddir.EtcDir, name))
				if w == "-" {
					if err == nil {
						t.Errorf("%s was written: %q", name, b)
					}
				} else if err != nil || string(b) != w {
					t.Errorf("%s is %q, %v\nwant %q", name, b, err, w)
				}
			}
		})
	}
}

// Apps that are not root read these files, whatever umask rkt was started with.
func TestIdentityModes(t *testing.T) {
	old := unix.Umask(0o077)
	t.Cleanup(func() { unix.Umask(old) })
	dir := t.TempDir()
	if err := WriteIdentity(dir, Identity{Hostname: "x"}, poddir.Network{}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{".": 0o755, "hosts": 0o644, "hostname": 0o644} {
		fi, err := os.Stat(filepath.Join(dir, poddir.EtcDir, name))
		if err != nil || fi.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, fi.Mode(), err)
		}
	}
}

func TestBadAddress(t *testing.T) {
	net := poddir.Network{Mode: poddir.NetworkPlugin, Interfaces: []poddir.Interface{{Network: "n", Addresses: []string{"1.2.3.4\n6.6.6.6 bank.example"}}}}
	err := WriteIdentity(t.TempDir(), Identity{Hostname: "x"}, net)
	if err == nil || !strings.Contains(err.Error(), "network n gave address") {
		t.Error(err)
	}
}

func TestDown(t *testing.T) {
	dir := t.TempDir()
	if !Down(dir) {
		t.Error("a pod without a network has something to tear down")
	}
	if _, err := makeState(dir, filepath.Join(t.TempDir(), "shared")); err != nil {
		t.Fatal(err)
	}
	if Down(dir) {
		t.Error("a pod whose network was asked for has nothing to tear down")
	}
	if err := os.WriteFile(filepath.Join(dir, poddir.NetDir, downFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if !Down(dir) {
		t.Error("a network that is down is torn down again")
	}
}

func TestNewNamespace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a network namespace needs root")
	}
	f, err := NewNamespace()
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	var own, other unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &own); err != nil {
		t.Fatal(err)
	}
	if err := unix.Fstat(int(f.Fd()), &other); err != nil {
		t.Fatal(err)
	}
	if own.Ino == other.Ino {
		t.Error("the namespace is the caller's own")
	}
	if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("children would inherit the namespace: %d, %v", flags, err)
	}
}
