// Package enter is `rkt enter` into a pod of a virtual machine: a client of the supervisor's socket stage1/enter,
// and what both speak there.
//
//	rkt enter (this package)                              supervisor
//	  Request as one JSON line, with three descriptors  ─────▶  starts the command by the guest's agent
//	  Event lines: signals, sizes                       ─────▶
//	  its input, its output                             ◀────▶  over the descriptors
//	  ◀─────  Reply, once                                       the command has ended; end of the connection
//
// The descriptors are ends of pipes that this process makes: the supervisor never holds the user's own terminal.
// The end of the connection before the Reply is the end of the command, so nothing is left behind by a client that
// is killed.
package enter
