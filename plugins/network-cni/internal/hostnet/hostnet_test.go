package hostnet

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestReadDNS(t *testing.T) {
	file := func(text string) string {
		name := filepath.Join(t.TempDir(), "resolv.conf")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	missing := filepath.Join(t.TempDir(), "missing")
	stub := "nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch lan\n"
	for name, tc := range map[string]struct {
		files   []string
		servers []string
		search  []string
		err     error
	}{
		"plain":         {[]string{file("# c\nnameserver 192.0.2.1\nnameserver 2001:db8::1 # x\nsearch a b\n")}, []string{"192.0.2.1", "2001:db8::1"}, []string{"a", "b"}, nil},
		"some loopback": {[]string{file("nameserver 127.0.0.1\nnameserver 192.0.2.1\n")}, []string{"192.0.2.1"}, nil, nil},
		"stub":          {[]string{file(stub), missing, file("nameserver 192.0.2.9\nsearch other\n")}, []string{"192.0.2.9"}, []string{"lan"}, nil},
		"stub alone":    {[]string{file(stub), missing}, nil, []string{"lan"}, ErrLoopbackOnly},
		"::1 alone":     {[]string{file("nameserver ::1\n")}, nil, nil, ErrLoopbackOnly},
		"zone":          {[]string{file("nameserver fe80::1%eth0\nnameserver 192.0.2.1")}, []string{"192.0.2.1"}, nil, nil},
		"none":          {[]string{file("search x\n"), file("nameserver 192.0.2.1\n")}, nil, []string{"x"}, nil},
		"missing":       {[]string{missing}, nil, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			dns, err := ReadDNS(tc.files)
			if !errors.Is(err, tc.err) || !slices.Equal(dns.Nameservers, tc.servers) || !slices.Equal(dns.Search, tc.search) {
				t.Errorf("got %+v, %v", dns, err)
			}
		})
	}
}

func FuzzParseResolv(f *testing.F) {
	f.Add("nameserver 127.0.0.53\nsearch a b\noptions ndots:5\n; c\n")
	f.Add("nameserver fe80::1%eth0\nnameserver\nnameserver x\n")
	f.Fuzz(func(t *testing.T, text string) {
		dns, _ := ParseResolv(text)
		for _, ns := range dns.Nameservers {
			ip, err := netip.ParseAddr(ns)
			if err != nil || ip.Unmap().IsLoopback() || ip.Zone() != "" {
				t.Fatalf("let name server %q through", ns)
			}
		}
		for _, w := range append(slices.Concat(dns.Search, dns.Options), dns.Domain) {
			if strings.ContainsAny(w, " \n\t") {
				t.Fatalf("word %q holds several", w)
			}
		}
	})
}

func TestListeners(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	u, err := net.ListenPacket("udp6", "[::]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	type lister func(string, uint16) ([]Listener, error)
	for name, f := range map[string]lister{"sock_diag": Listeners, "proc": procListeners} {
		port := netip.MustParseAddrPort(l.Addr().String()).Port()
		got, err := f("tcp", port)
		if err != nil || len(got) != 1 || got[0].Addr.String() != l.Addr().String() {
			t.Errorf("%s: tcp: %v, %v", name, got, err)
		}
		port = netip.MustParseAddrPort(u.LocalAddr().String()).Port()
		got, err = f("udp", port)
		if err != nil || len(got) != 1 || got[0].Addr.Addr() != netip.IPv6Unspecified() {
			t.Errorf("%s: udp: %v, %v", name, got, err)
		}
	}
}

func TestTakes(t *testing.T) {
	at := func(ip string, only bool) Listener {
		return Listener{netip.AddrPortFrom(netip.MustParseAddr(ip), 1), only}
	}
	for _, tc := range []struct {
		l    Listener
		addr string // "": any
		want bool
	}{
		{at("0.0.0.0", false), "", true},
		{at("127.0.0.1", false), "", true},
		{at("0.0.0.0", false), "192.0.2.1", true},
		{at("0.0.0.0", false), "::1", false},
		{at("::", false), "192.0.2.1", true},
		{at("::", true), "192.0.2.1", false},
		{at("::", true), "::1", true},
		{at("127.0.0.1", false), "192.0.2.1", false},
		{at("127.0.0.1", false), "0.0.0.0", true},
		{at("127.0.0.1", false), "::", false},
		{at("::", false), "0.0.0.0", true},
		{at("::", true), "0.0.0.0", false},
	} {
		var a netip.Addr
		if tc.addr != "" {
			a = netip.MustParseAddr(tc.addr)
		}
		if got := tc.l.Takes(a); got != tc.want {
			t.Errorf("%v takes %q: %v", tc.l, tc.addr, got)
		}
	}
}

func FuzzParseDiag(f *testing.F) {
	f.Add(make([]byte, diagMsgLen))
	f.Add(append([]byte{10}, make([]byte, diagMsgLen+8)...))
	f.Fuzz(func(_ *testing.T, b []byte) { parseDiag(b) })
}

func FuzzParseProcNet(f *testing.F) {
	f.Add("  sl  local_address\n   0: 0100007F:1F90 00000000:0000 0A 0\n", uint16(8080))
	f.Fuzz(func(t *testing.T, text string, port uint16) {
		all, _ := parseProcNet(strings.NewReader(text), "0A", port)
		for _, l := range all {
			if l.Addr.Port() != port {
				t.Fatalf("%v is not port %d", l, port)
			}
		}
	})
}
