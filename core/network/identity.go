package network

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// Identity is what the flags say about names.
type Identity struct {
	DNSMode  DNSMode
	DNS      poddir.DNS // --dns, --dns-search, --dns-opt, --dns-domain
	HostsOf  bool       // --hosts-entry=host: the host's file
	Hosts    []string   // lines "IP NAME NAME"
	Hostname string
}

// DNSMode says where resolv.conf comes from.
type DNSMode string

// The modes: the network's answer (default), the flags, the host's file, nothing.
const (
	DNSDefault DNSMode = ""
	DNSFlags   DNSMode = "flags"
	DNSHost    DNSMode = "host"
	DNSNone    DNSMode = "none"
)

// WriteIdentity writes etc/ of the pod directory; a stage1 mounts what it finds there over each app's /etc.
// A file that is not written leaves the image's own in place (rkt-features.md NET-14..16).
func WriteIdentity(podDir string, id Identity, net poddir.Network) error {
	dir := filepath.Join(podDir, poddir.EtcDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write pod's etc: %w", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // whatever the caller's umask says
		return fmt.Errorf("write pod's etc: %w", err)
	}
	files := map[string]string{"hostname": id.Hostname + "\n"}
	var err error
	if files["hosts"], err = hosts(id, net); err != nil {
		return err
	}
	if files["resolv.conf"], err = resolvConf(id, net); err != nil {
		return err
	}
	for name, content := range files {
		if content == "" {
			continue
		}
		// 0644, not the pod directory's mode: every user of the pod reads these.
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return fmt.Errorf("write pod's %s: %w", name, err)
		}
		if err := os.Chmod(path, 0o644); err != nil {
			return fmt.Errorf("write pod's %s: %w", name, err)
		}
	}
	return nil
}

func resolvConf(id Identity, net poddir.Network) (string, error) {
	dns := net.DNS
	switch {
	case id.DNSMode == DNSNone:
		return "", nil
	case id.DNSMode == DNSHost || id.DNSMode == DNSDefault && net.Mode == poddir.NetworkHost:
		b, err := os.ReadFile("/etc/resolv.conf")
		if err != nil {
			return "", fmt.Errorf("copy the host's resolv.conf: %w", err)
		}
		return string(b), nil
	case id.DNSMode == DNSFlags:
		dns = id.DNS
		if len(dns.Nameservers) == 0 { // only search or options were given: servers are still the network's
			dns.Nameservers = net.DNS.Nameservers
		}
	}
	var b strings.Builder
	if dns.Domain != "" {
		fmt.Fprintf(&b, "domain %s\n", dns.Domain)
	}
	if len(dns.Search) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(dns.Search, " "))
	}
	for _, s := range dns.Nameservers {
		fmt.Fprintf(&b, "nameserver %s\n", s)
	}
	if len(dns.Options) > 0 {
		fmt.Fprintf(&b, "options %s\n", strings.Join(dns.Options, " "))
	}
	return b.String(), nil
}

func hosts(id Identity, net poddir.Network) (string, error) {
	var b strings.Builder
	if id.HostsOf {
		own, err := os.ReadFile("/etc/hosts")
		if err != nil {
			return "", fmt.Errorf("copy the host's hosts: %w", err)
		}
		b.Write(own)
	} else {
		b.WriteString("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n")
		named := false
		for _, i := range net.Interfaces {
			for _, a := range i.Addresses {
				p, err := netip.ParsePrefix(a)
				if err != nil {
					return "", fmt.Errorf("write pod's hosts: network %s gave address %q: %w", i.Network, a, err)
				}
				fmt.Fprintf(&b, "%s %s\n", p.Addr(), id.Hostname)
				named = true
			}
		}
		if !named {
			fmt.Fprintf(&b, "127.0.0.1 %s\n", id.Hostname)
		}
	}
	for _, line := range id.Hosts {
		b.WriteString(line + "\n")
	}
	return b.String(), nil
}
