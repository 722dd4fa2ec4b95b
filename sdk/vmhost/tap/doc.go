// Package tap connects a guest with the interfaces that the network step has made in the pod's network namespace.
//
// For each of them the namespace gets a tap device, and tc passes every frame on from one to the other, both ways.
// The guest then is the interface: it has its MAC, MTU, addresses and routes, and the namespace's own stack must
// have none of them any more, or two hosts would answer. Whatever the network plugin has done outside, port
// forwards and masquerading by address, holds for the guest without a change.
//
// It works on the network namespace of the calling thread. Nothing is to be undone: the taps end with their
// descriptors, everything else with the namespace.
package tap
