// Package network is the third dispatch step: it gives a pod its network.
//
// It owns the choice of the mode (host, none, a plugin), the namespace descriptor, the call of the network
// plugin and the recording of its answer, and the identity files (resolv.conf, hosts, hostname) made from
// flags and that answer. It does not own addresses, links or rules: those are the plugin's.
//
// Modes host and none never start a plugin.
package network
