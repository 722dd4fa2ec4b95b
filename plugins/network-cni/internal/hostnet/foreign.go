package hostnet

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

const nonblock = unix.O_NONBLOCK | unix.O_CLOEXEC

// Filter is a filter of another program, and what to type so that it lets pods through.
type Filter struct{ What, Cure string }

// Foreign finds filters of other programs that drop forwarded packets by default: a packet must pass every base
// chain, so our table cannot let pods through on its own. Only nftables is seen, which includes iptables-nft; a policy of the old iptables modules is not.
func Foreign() ([]Filter, error) {
	// Lasting, and left to the end of the process: closing may wait for what other connections removed.
	c, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return nil, fmt.Errorf("connect to nftables: %w", err)
	}
	chains, err := c.ListChains()
	if err != nil {
		return nil, fmt.Errorf("list nftables chains: %w", err)
	}
	var found []Filter
	for _, ch := range chains {
		if ch.Hooknum == nil || *ch.Hooknum != *nftables.ChainHookForward || ch.Type != nftables.ChainTypeFilter {
			continue
		}
		// firewalld's policy is to accept; its last rule rejects what no zone took.
		drops := ch.Policy != nil && *ch.Policy == nftables.ChainPolicyDrop
		if !drops && ch.Table.Name != "firewalld" {
			continue
		}
		family := familyName(ch.Table.Family)
		if family == "" {
			continue
		}
		found = append(found, Filter{
			What: fmt.Sprintf("table %s %s drops forwarded packets by default (chain %s)", family, ch.Table.Name, ch.Name),
			Cure: cure(family, ch, chains),
		})
	}
	slices.SortFunc(found, func(a, b Filter) int { return strings.Compare(a.What, b.What) })
	return found, nil
}

func cure(family string, ch *nftables.Chain, all []*nftables.Chain) string {
	if ch.Name == "FORWARD" && ch.Table.Name == "filter" {
		tool, chain := "iptables", "FORWARD"
		if family == "ip6" {
			tool = "ip6tables"
		}
		if slices.ContainsFunc(all, func(c *nftables.Chain) bool {
			return c.Name == "DOCKER-USER" && c.Table.Family == ch.Table.Family
		}) {
			chain = "DOCKER-USER"
		}
		return fmt.Sprintf("%s -I %s -i rkt-+ -j ACCEPT; %s -I %s -o rkt-+ -j ACCEPT", tool, chain, tool, chain)
	}
	if strings.HasPrefix(ch.Table.Name, "firewalld") {
		return "firewall-cmd --permanent --zone=trusted --add-interface=rkt-+ && firewall-cmd --reload"
	}
	return fmt.Sprintf(`nft insert rule %s %s %s iifname "rkt-*" accept; nft insert rule %s %s %s oifname "rkt-*" accept`,
		family, ch.Table.Name, ch.Name, family, ch.Table.Name, ch.Name)
}

func familyName(f nftables.TableFamily) string {
	switch f {
	case nftables.TableFamilyIPv4:
		return "ip"
	case nftables.TableFamilyIPv6:
		return "ip6"
	case nftables.TableFamilyINet:
		return "inet"
	}
	return ""
}
