package hostnet

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"strings"

	"github.com/rkt/rkt/v2/sdk/network"
)

// ResolvConf lists where name servers are looked for: the host's own file, and those of resolvers that listen on
// loopback and keep the real servers elsewhere.
func ResolvConf() []string {
	return []string{
		"/etc/resolv.conf",
		"/run/systemd/resolve/resolv.conf",
		"/run/NetworkManager/no-stub-resolv.conf",
		"/run/resolvconf/interface/systemd-resolved",
	}
}

// ErrLoopbackOnly says that the host's only name servers are on its loopback, where no pod reaches them.
var ErrLoopbackOnly = errors.New("every name server of the host is on its loopback address, which a pod cannot " +
	"reach; give one with --dns, or the host's file with --dns=host")

// ReadDNS reads the host's resolver settings as a pod can use them, from the first of files that has a usable
// server. Search and options are those of the first file.
func ReadDNS(files []string) (network.DNS, error) {
	var first network.DNS
	seen := false
	for i, name := range files {
		dns, loopback, err := readResolv(name)
		if err != nil {
			if i == 0 && !errors.Is(err, fs.ErrNotExist) {
				return dns, err
			}
			continue
		}
		seen = seen || loopback
		if i == 0 {
			first = dns
		}
		if len(dns.Nameservers) > 0 {
			if i > 0 && len(first.Search) > 0 {
				dns.Search = first.Search
			}
			return dns, nil
		}
		if i == 0 && !loopback {
			break // the host has no servers at all, so neither has the pod
		}
	}
	if seen {
		return first, ErrLoopbackOnly
	}
	return first, nil
}

// readResolv reads one file; loopback says that it named servers that only the host reaches.
func readResolv(name string) (dns network.DNS, loopback bool, err error) {
	// Not blocking: the file may be anything.
	f, err := os.OpenFile(name, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return dns, false, fmt.Errorf("read the host's name servers: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return dns, false, fmt.Errorf("read the host's name servers: %w", err)
	}
	dns, loopback = ParseResolv(string(b))
	return dns, loopback, nil
}

// ParseResolv reads resolv.conf(5). Servers that a pod cannot reach are left out: loopback ones, which loopback
// tells, and those with a zone, which name a link of the host.
func ParseResolv(text string) (dns network.DNS, loopback bool) {
	for line := range strings.Lines(text) {
		if i := strings.IndexAny(line, "#;"); i == 0 {
			continue
		}
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "nameserver":
			ip, err := netip.ParseAddr(f[1])
			switch {
			case err != nil || ip.Zone() != "" || ip.IsLinkLocalUnicast() || ip.IsMulticast():
			case ip.Unmap().IsLoopback() || ip.IsUnspecified():
				loopback = true
			default:
				dns.Nameservers = append(dns.Nameservers, ip.String())
			}
		case "domain":
			dns.Domain = f[1]
		case "search":
			dns.Search = f[1:]
		case "options":
			dns.Options = append(dns.Options, f[1:]...)
		}
	}
	return dns, loopback
}
