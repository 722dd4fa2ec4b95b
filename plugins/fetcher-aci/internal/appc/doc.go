// Package appc is the image half of the App Container specification, schema 0.8: names, the image manifest, and
// the names of architectures. Its input comes from hostile servers.
//
// It owns parsing and validation; it reads no archives (package archive) and makes no OCI images (package
// convert). Invariant: a Manifest that Parse returned holds to the specification in every field that is used.
package appc
