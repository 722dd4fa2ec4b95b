// Package serve is the process of a plugin: the handshake, the lifeline, the log, errors and panics on the
// wire, and the subcommands for people. It is the one package of the sdk that imports gRPC's server, so that
// vendors never see it.
//
// What happens when rkt starts the binary (proto/launch has the contract):
//
//	main -> Main ─┬─ "manifest", "version", "-h"           print and exit
//	              ├─ no cookie in the environment          say who we are, exit 64
//	              └─ serve: socket in the private directory, handshake line on stdout, then RPCs
//	                 stdin at EOF -> cancel every RPC, stop the server, exit in less than a second
//
// The handshake is hashicorp/go-plugin's, and a test starts this package with that library's own client. Its
// server half is not linked: it brings a broker, a stream of stdout, reflection, net/rpc and encoding/gob, which
// this contract does not use, and with them 6 MB and about 2.5 of 6 ms from execve to main on every launch.
package serve
