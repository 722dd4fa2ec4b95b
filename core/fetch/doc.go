// Package fetch is the first dispatch step: it asks a fetcher plugin to fill an OCI image layout directory.
//
// It owns the choice of the fetcher by scheme, the calls Resolve, Fetch and Convert, and what the caller sees
// of their progress. It does not own the store: the layout that it returns is as untrusted as the server that
// the bytes came from, and core/store walks and digests all of it again.
package fetch
