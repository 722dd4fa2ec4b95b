// Package wire is what PID 1 of a pod tells the supervisor, over a SOCK_SEQPACKET socketpair: one message a
// packet, with at most one descriptor.
//
//	PID 1                                        supervisor
//	  terminal  app + the terminal's master  ─────▶  (apps with a tty, before they start)
//	  warning   text                         ─────▶
//	  started   app + pidfd                  ─────▶
//	  exited    app, wait status or reason   ─────▶
//	  up                                     ─────▶  every app has been started, or reported as exited
//	  failed    text                         ─────▶  the pod cannot be made; PID 1 exits
//
// Nothing is sent the other way. PID 1 exits when the last app has been reported.
package wire
