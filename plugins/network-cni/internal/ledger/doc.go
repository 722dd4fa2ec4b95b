// Package ledger is the memory that all pods of this plugin share: one directory (core's shared_dir), many
// short-lived plugin processes.
//
//	lock                    flock, held for every change and for nothing slow
//	pods/<uuid>             what was or is about to be set up for a pod (JSON, Record)
//	leases/<network>/<ip>   "<uuid> <boot id>"
//	ports/<proto>-<port>    lines "<host ip or *> <uuid> <boot id>"
//	subnets.json            the address ranges chosen for networks that do not name theirs
//	host.json               host settings as they were before this plugin changed them
//	cni/                    libcni's cache of configurations and results
//
// It owns the formats and their order of writing. It does not own what they describe: links are package ptp's,
// rules package firewall's.
//
// Invariants: leases and claims are written before the record, the record before any change to the host, and they
// are removed in the opposite order, so whatever SIGKILL leaves can be found from the record and undone. Nothing is
// fsynced but subnets.json and host.json: a power cut ends every pod, and the boot id in each entry tells the
// entries of an earlier boot from living ones, so such a lease or claim is free for the taking.
package ledger
