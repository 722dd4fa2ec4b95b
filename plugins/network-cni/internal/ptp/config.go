package ptp

import (
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/rkt/rkt/v2/sdk/plugin"
)

// Type is the CNI type.
const Type = "rkt-ptp"

// Config is the type's part of a conflist.
type Config struct {
	Type         string         `json:"type"`
	Capabilities map[string]any `json:"capabilities,omitempty"`
	// Subnets gives at most one IPv4 and one IPv6 range. Without any, free ones are chosen and remembered.
	Subnets []netip.Prefix `json:"subnets,omitempty"`
	// IPMasq lets pods leave the host under its address.
	IPMasq bool `json:"ipMasq,omitempty"`
	// IsDefaultGateway gives the pod a default route and lets it leave the host at all.
	IsDefaultGateway bool `json:"isDefaultGateway,omitempty"`
	MTU              int  `json:"mtu,omitempty"` // 0: that of the host's way out
}

// ParseConfig reads the type's configuration.
func ParseConfig(b []byte) (*Config, error) {
	var c Config
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, plugin.ConfigInvalid("read configuration of type %s: %w", Type, err)
	}
	seen := map[bool]netip.Prefix{}
	for i, p := range c.Subnets {
		if err := checkSubnet(p); err != nil {
			return nil, plugin.ConfigInvalid("type %s: subnet %s: %w", Type, p, err)
		}
		if old, dup := seen[p.Addr().Is4()]; dup {
			return nil, plugin.ConfigInvalid("type %s: subnets %s and %s are of one family; give one of each", Type, old, p)
		}
		c.Subnets[i] = p.Masked()
		seen[p.Addr().Is4()] = p
	}
	if c.MTU != 0 && (c.MTU < 1280 || c.MTU > 65535) {
		return nil, plugin.ConfigInvalid("type %s: mtu %d is not between 1280 and 65535", Type, c.MTU)
	}
	return &c, nil
}

func checkSubnet(p netip.Prefix) error {
	ip := p.Addr()
	switch {
	case !p.IsValid() || ip.Is4In6():
		return fmt.Errorf("is not an IPv4 or IPv6 range")
	case ip.Is4() && (p.Bits() < 8 || p.Bits() > 29):
		return fmt.Errorf("is not between /8 and /29")
	case ip.Is6() && (p.Bits() < 32 || p.Bits() > 120):
		return fmt.Errorf("is not between /32 and /120")
	case ip.IsLoopback() || ip.IsMulticast() || ip.IsUnspecified() || ip.IsLinkLocalUnicast():
		return fmt.Errorf("is reserved for another use")
	}
	return nil
}
