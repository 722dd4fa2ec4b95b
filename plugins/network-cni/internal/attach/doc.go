// Package attach is the plugin's verbs: Setup, Check, Teardown, Sweep. It decides the order of steps and drives
// libcni; what a step does is the other packages' business.
//
//	Setup      conflist   find the networks
//	           ledger     under the lock: choose and lease addresses, claim ports, write the record
//	           hostnet    turn forwarding on
//	           libcni     ADD for each network, in order: built-in types here (ptp, firewall), others as programs
//	Teardown   ledger     mark the record as going
//	           libcni     DEL in reverse order, from the configuration in the record
//	           ledger     under the lock: release, unclaim, remove the record
//
// Invariants: nothing on the host is changed before the record that tells of it exists; the record goes last.
// Every verb may be killed at any moment and called again. Nothing slow happens under the lock, but CNI GC in Sweep,
// which must see no pod come up meanwhile.
package attach
