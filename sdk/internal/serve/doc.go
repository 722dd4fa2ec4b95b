// Package serve is the process of a plugin: the handshake, the lifeline, the log, errors and panics on the
// wire, and the subcommands for people. It is the one package of the sdk that imports go-plugin and gRPC's
// server, so that vendors never see either.
//
// What happens when rkt starts the binary (proto/launch has the contract):
//
//	main -> Main ─┬─ "manifest", "version", "-h"           print and exit
//	              ├─ no cookie in the environment          say who we are, exit 64
//	              └─ serve: socket in the private directory, handshake line on stdout, then RPCs
//	                 stdin at EOF -> cancel every RPC, stop the server, exit in less than a second
//
// Not used, on purpose: AutoMTLS (15 ms; the 0700 directory and peer credentials say the same on one host), the
// broker, the stream of stdout and stderr (log lines go to the real descriptor 2).
package serve
