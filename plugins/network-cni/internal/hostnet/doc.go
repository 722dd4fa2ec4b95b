// Package hostnet reads and prepares the host's side: forwarding, routes that an address range must not clash with,
// programs that listen on a port, name servers that a pod can reach, filters of other programs that drop what pods
// forward. It owns what is written to /proc/sys/net for the whole host and remembers what was there before. It does
// not touch a pod's link (package ptp) or the rules (package firewall).
//
// It runs in the network namespace of the calling process, as root with CAP_NET_ADMIN: /proc/sys/net lets the
// owner of the namespace write with that capability alone.
package hostnet
