// Package networkv1 is generated from network.proto, whose comments are the contract: who calls, whether a call may be
// repeated, how long it may take, and how it fails.
package networkv1
