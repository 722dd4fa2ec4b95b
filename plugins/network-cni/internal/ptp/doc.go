// Package ptp is the built-in CNI type "rkt-ptp": one veth pair for each pod, routed by the host.
//
//	pod                                   host
//	eth0  10.86.3.7/32, fd..::307/128 --- rkt-1b4f0a2c   10.86.0.1/32, fd..::1/128, the same on every link
//	      default via 10.86.0.1           route to 10.86.3.7 and fd..::307
//
// There is no bridge: pods share no link on which one could answer for another, nothing is left to remove but the
// pair, and the number of pods is not bounded by the ports of a bridge. Both ends know each other's MAC address
// as a permanent neighbour, so the first packet waits for no ARP, no neighbour discovery and no duplicate
// address detection.
//
// It owns the pair, its addresses, routes, neighbours and the settings below /proc/sys/net/*/conf of the host's
// end. It does not own leases (package ledger) or rules (package firewall).
//
// Invariants: Up leaves the wanted state whatever it finds, Down and Retire succeed on whatever they find. Needs CAP_NET_ADMIN,
// and CAP_SYS_ADMIN to enter the pod's namespace.
package ptp
