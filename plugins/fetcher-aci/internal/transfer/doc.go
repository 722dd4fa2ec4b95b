// Package transfer moves bytes over HTTP for the fetcher: small documents into memory, images into a file that
// a later attempt can go on with.
//
// It owns the rules of the wire: https unless the caller allows http, also after a redirect; at most ten
// redirects; a credential goes to its own host over https and nowhere else; every error says which URL and has
// the reason that core maps. It does not know what it transfers.
//
// Invariant: a resumed file is of one version of the remote one. Bytes are appended only to a part that was
// served with a validator (a strong ETag, or Last-Modified) that the server confirms.
package transfer
