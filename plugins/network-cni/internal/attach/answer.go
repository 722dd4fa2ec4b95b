package attach

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"

	"github.com/rkt/rkt/v2/plugins/network-cni/internal/hostnet"
	"github.com/rkt/rkt/v2/sdk/network"
)

// answer tells core what the pod got.
func (s *session) answer(ctx context.Context, results []types.Result) (network.Setup, error) {
	var out network.Setup
	way := false
	for i, r := range results {
		a := s.rec.Attachments[i]
		res, err := types100.NewResultFromResult(r)
		if err != nil {
			return out, fmt.Errorf("read the answer of network %s: %w", a.Network, err)
		}
		iface := network.Interface{Network: a.Network, Name: a.IfName}
		inPod := func(index *int) bool {
			return index == nil || *index < 0 || *index >= len(res.Interfaces) || res.Interfaces[*index].Sandbox != ""
		}
		for _, f := range res.Interfaces {
			if f.Sandbox != "" && (f.Name == a.IfName || iface.MAC == "") {
				iface.Name, iface.MAC, iface.MTU = f.Name, f.Mac, uint32(max(f.Mtu, 0))
			}
		}
		for _, ip := range res.IPs {
			if !inPod(ip.Interface) {
				continue
			}
			iface.Addresses = append(iface.Addresses, ip.Address.String())
			if ip.Gateway != nil && !slices.Contains(iface.Gateways, ip.Gateway.String()) {
				iface.Gateways = append(iface.Gateways, ip.Gateway.String())
			}
		}
		for _, rt := range res.Routes {
			if rt == nil {
				continue
			}
			n := network.Route{Destination: rt.Dst.String()}
			if rt.GW != nil && !rt.GW.IsUnspecified() {
				n.Gateway = rt.GW.String()
			}
			if ones, _ := rt.Dst.Mask.Size(); ones == 0 {
				way = true
			}
			iface.Routes = append(iface.Routes, n)
		}
		out.Interfaces = append(out.Interfaces, iface)
		merge(&out.DNS, res.DNS)
	}
	if len(out.DNS.Nameservers) > 0 || !way {
		return out, nil
	}
	dns, err := hostnet.ReadDNS(s.ResolvConf)
	if errors.Is(err, hostnet.ErrLoopbackOnly) {
		slog.WarnContext(ctx, "the pod has no name server", "reason", err)
	} else if err != nil {
		return out, err
	}
	out.DNS = dns
	return out, nil
}

// merge adds what a network says of DNS. The first to give a domain wins.
func merge(to *network.DNS, from types.DNS) {
	for _, ns := range from.Nameservers {
		if net.ParseIP(ns) != nil && !slices.Contains(to.Nameservers, ns) {
			to.Nameservers = append(to.Nameservers, ns)
		}
	}
	to.Search = append(to.Search, from.Search...)
	to.Options = append(to.Options, from.Options...)
	if to.Domain == "" {
		to.Domain = from.Domain
	}
}
