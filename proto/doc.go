// Package proto holds no code: its test holds the contract on the wire, rkt/*/v1, as a text that reviewers read.
//
// What guards the contract, and what to do when it speaks up:
//
//	v1.txt     every message, field, enum and RPC, one a line, as the linked code has them. A change of the contract
//	           is a diff of this file: go test ./proto -update
//	v1.binpb   the contract as it was last released. `make contract` refuses whatever a plugin or a core of that
//	           release would not understand; `make freeze` replaces it, at a release and never otherwise.
//	buf.yaml   how a .proto file is written, and what counts as breaking
//
// A major of the contract is a package of its own (rkt.fetcher.v2), never a change of v1.
package proto
