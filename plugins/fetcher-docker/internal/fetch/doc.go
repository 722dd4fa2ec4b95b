// Package fetch is the fetcher itself: it takes a request apart, sends it to the source that its scheme names,
// and fills the layout. Registries are internal/registry's, files and directories internal/local's.
package fetch
