// Package reference renders a command tree as pages, from what --help is made of: Markdown for docs/cli, roff for
// man.
//
// It owns the pages' form, not their words. rkt itself does not link it: a test of cmd/rkt holds docs/cli equal to
// the tree, and `go run -tags=reference ./cmd/rkt` writes what packages carry.
package reference
