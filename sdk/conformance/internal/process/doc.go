// Package process starts a plugin as proto/launch says, and nothing else does in the kit: environment, lifeline,
// handshake, donated descriptors, a session of its own. It is a second reading of that contract beside core's, on
// purpose: what both readings agree on is what is written.
//
// It owns the process until Close: after it neither the plugin nor anything that it started in its session is left.
// It judges only what it needs to go on (the handshake line); what a plugin printed, logged and used is there for
// checks to look at.
package process
