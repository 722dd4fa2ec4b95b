package attach

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rkt/rkt/v2/plugins/network-cni/internal/firewall"
	"github.com/rkt/rkt/v2/plugins/network-cni/internal/hostnet"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

var _ plugin.Prober = (*Engine)(nil)

// Probe implements plugin.Prober.
func (e *Engine) Probe(context.Context) ([]plugin.Finding, error) {
	found := []plugin.Finding{nftables(), ipv6(), forwarding(), foreign(), resolver(e.ResolvConf), e.programs()}
	return found, nil
}

func nftables() plugin.Finding {
	f := plugin.Finding{ID: "nftables", OK: true, Required: true, Summary: "the kernel answers"}
	c, err := firewall.Open()
	if err == nil {
		_, _, err = c.Compare(nil)
		err = errors.Join(err, c.Close())
	}
	if err != nil {
		f.OK, f.Summary, f.Remedy = false, err.Error(), "modprobe nf_tables"
	}
	return f
}

func ipv6() plugin.Finding {
	if hostnet.HasIPv6() {
		return plugin.Finding{ID: "ipv6", OK: true, Summary: "pods get IPv6 addresses"}
	}
	return plugin.Finding{ID: "ipv6", Summary: "IPv6 is off, pods get IPv4 addresses alone",
		Remedy: "sysctl -w net.ipv6.conf.all.disable_ipv6=0"}
}

func forwarding() plugin.Finding {
	if hostnet.Forwarding(hostnet.HasIPv6()) {
		return plugin.Finding{ID: "forwarding", OK: true, Summary: "the host forwards"}
	}
	// No fault: the first pod turns it on.
	return plugin.Finding{ID: "forwarding", OK: true, Summary: "off until the first pod turns it on"}
}

func foreign() plugin.Finding {
	all, err := hostnet.Foreign()
	switch {
	case err != nil:
		return plugin.Finding{ID: "forward-filter", Summary: err.Error(), Remedy: "look as root: nft list ruleset"}
	case len(all) == 0:
		return plugin.Finding{ID: "forward-filter", OK: true, Summary: "no other nftables filter drops forwarded packets"}
	}
	var what, cures []string
	for _, f := range all {
		what, cures = append(what, f.What), append(cures, f.Cure)
	}
	return plugin.Finding{ID: "forward-filter", Summary: strings.Join(what, "; "), Remedy: strings.Join(cures, "; ")}
}

func resolver(files []string) plugin.Finding {
	dns, err := hostnet.ReadDNS(files)
	if err == nil && len(dns.Nameservers) > 0 {
		return plugin.Finding{ID: "name-servers", OK: true, Summary: strings.Join(dns.Nameservers, ", ")}
	}
	f := plugin.Finding{ID: "name-servers", Summary: "the host has none", Remedy: "rkt run --dns=ADDRESS ..."}
	if err != nil {
		f.Summary = err.Error()
	}
	return f
}

func (e *Engine) programs() plugin.Finding {
	var names []string
	for _, dir := range e.Programs {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return plugin.Finding{ID: "cni-programs", Summary: err.Error()}
		}
		for _, n := range entries {
			fi, err := os.Stat(filepath.Join(dir, n.Name()))
			if err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 && !strings.HasPrefix(n.Name(), "rkt-") &&
				!slices.Contains(names, n.Name()) {
				names = append(names, n.Name())
			}
		}
	}
	slices.Sort(names)
	return plugin.Finding{ID: "cni-programs", OK: true, Summary: fmt.Sprintf("built in: rkt-ptp; found: %s", strings.Join(names, ", "))}
}
