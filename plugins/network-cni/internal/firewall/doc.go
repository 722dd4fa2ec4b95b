// Package firewall owns the nftables table "inet rkt" and everything in it; nothing outside that table is ever
// written, so what other programs filter is their decision (see Foreign in package hostnet).
//
// The rules are the same for every host and never change; what differs from pod to pod are elements of sets and
// maps, each with the pod's UUID as its comment. So setting up a pod is one netlink batch of a few elements,
// taking it down is another, and both are exact after SIGKILL.
//
//	packet from a pod --> from-pod (raw)     is the source the pod's own, and not for the host's loopback?
//	                  --> publish (dstnat)   is it for a published port of this host?
//	                  --> forward (filter)   may this pod leave the host? may the outside reach this pod?
//	                  --> leave (srcnat)     masquerade
//
// A published port is reached from outside, from other pods, from the pod itself, and from the host, 127.0.0.1
// and ::1 included; the last two need host settings on the pod's link, which package ptp makes.
//
// Invariants: Replace is atomic (one transaction); Add and Remove are idempotent. All need CAP_NET_ADMIN alone.
// Linux 5.2 or later (nat in the inet family).
package firewall
