package main

import (
	"testing"

	"github.com/rkt/rkt/v2/sdk/conformance"
)

func TestConformance(t *testing.T) {
	const cni = "github.com/containernetworking/plugins/plugins/"
	conformance.Run(t, conformance.Plugin{
		Dir: conformance.Build(t, ".", map[string]string{
			"bridge": cni + "main/bridge", "firewall": cni + "meta/firewall", "host-local": cni + "ipam/host-local",
			"ipvlan": cni + "main/ipvlan", "loopback": cni + "main/loopback", "macvlan": cni + "main/macvlan",
			"portmap": cni + "meta/portmap", "ptp": cni + "main/ptp", "static": cni + "ipam/static", "tuning": cni + "meta/tuning",
		}),
	}, conformance.Options{Level: conformance.Isolation})
}
