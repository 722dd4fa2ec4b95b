// Command rkt-network-cni is the network plugin: it connects pods as CNI configurations say, and has a default network
// of its own that needs none. See README.md.
package main

import (
	"github.com/rkt/rkt/v2/plugins/network-cni/internal/attach"
	"github.com/rkt/rkt/v2/sdk/network"
)

var version = "2.0.0-dev"

func main() {
	network.Main(info(), attach.New())
}

func info() network.Info {
	return network.Info{
		Name:    "network-cni",
		Version: version,
		Vendor:  "rkt",
		Types:   []string{"default", "default-restricted", "cni"},
		// Built from github.com/containernetworking/plugins into this plugin's directory.
		Programs: []string{
			"bridge", "firewall", "host-local", "ipvlan", "loopback", "macvlan", "portmap", "ptp", "static", "tuning",
		},
	}
}
