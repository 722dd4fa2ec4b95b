// Package agent is the protocol between the host half of a VM stage1 and the agent in its guest, both ends.
//
// It runs over one ordered byte channel that the VMM gives: a virtio-serial port named PortName, a vsock
// connection, or a raw terminal device. The guest speaks first, when its end is open:
//
//	guest                                                host
//	  "\nrkt-agent/1\n"  ────────────────────────▶         what came before this line is noise of the boot
//	                     one yamux session; the host is its client and the only end that opens streams
//	  ◀──────────────  stream {"kind":"control"}           JSON lines both ways from here on
//	  ◀──────────────    {"id":1,"op":"hello","body":{"protocol":1}}
//	  ──────────────▶    {"id":1,"body":{"protocol":1,"build":"...","ops":["start","signal",...]}}
//	  ◀──────────────    {"id":2,"op":"set-time","body":{...}}
//	  ◀──────────────    {"id":3,"op":"start","body":PodSpec}
//	  ──────────────▶    {"id":3}                          mounted, PID 1 of the pod lives; apps follow
//	  ──────────────▶    {"event":"started","app":"a","pid":301}
//	  ──────────────▶    {"event":"up"}                    every app has started or has exited
//	  ◀──────────────  stream {"kind":"app","app":"a","fd":"stdout"}
//	  ══════════════▶    bytes, until the last writer is gone
//	  ──────────────▶    {"event":"exited","app":"a","code":7}
//	  ◀──────────────    {"id":9,"op":"kill"}
//	  ──────────────▶    {"id":9}                          nothing of the pod is left, its output has been sent
//	  ◀──────────────    {"id":10,"op":"power-off","body":{"reboot":false}}
//
// Requests are answered by id, in any order; an unknown operation is answered with CodeUnknown, so that either
// end may be older. The guest and the host of one pod come out of one plugin directory, so it does not happen
// there.
//
// Byte streams go one way: stdin to the guest, stdout and stderr to the host. Closing the other way means
// "I read no more": a program that goes on writing to a pipe gets EPIPE, as it would on the host; what it writes
// to a terminal is thrown away. An app with a terminal has the streams stdin and stdout; the end of stdin is typed
// as Ctrl-D. A stream is opened once, before Start or whenever the host likes: output that nobody reads stays in
// the guest, and blocks the program that writes more. Streams that are to carry everything from a program that may
// end at once are opened before it starts. Flow control is yamux's, for each stream by itself.
//
// Owned here: framing, bounds, versions, who opens what. Not owned: how the channel comes to be (sdk/vmhost,
// sdk/vmguest), and what the operations do.
//
// Invariants: the guest is hostile to the host. The host takes no stream and no ping of it, reads lines of at most
// MaxGuestLine bytes, keeps at most maxEvents events, believes no name (Client checks app names against the spec
// that it started) and no count. A guest that breaks a rule loses its session; Err says which rule. The loss of
// the channel is the end of the pod for both: the guest powers off, the host kills the VMM.
package agent
