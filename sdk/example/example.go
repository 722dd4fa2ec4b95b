// Package example holds the plugins of this directory as text, one small one of each kind, that work. `rkt plugin new`
// begins a plugin with the very files that are built and tested here, so that they cannot drift.
//
// It imports nothing but embed: rkt itself links it, and links no sdk (core/internal/fence).
package example

import "embed"

//go:embed fetcher-file network-veth stage1-chroot stage1-pidns verifier-digest
var files embed.FS

// Files returns the sources: one directory a plugin, named like it.
func Files() embed.FS { return files }
