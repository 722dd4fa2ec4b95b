// Package registry is a client of one repository of an OCI distribution (registry v2) server: it gets manifests
// and streams blobs. It is net/http and no more, because the rules below decide where every header goes and
// what follows every broken byte, and a general client would have to be persuaded of each.
//
// It owns the connection, the redirects, the login, retries and resumption, and what an answer means. It does
// not parse manifests, choose platforms, or write files.
//
// Rules:
//
//   - A credential goes to the registry's own host and port over https, and to its token service: the same host,
//     the well-known one of that registry, or one that the admin named. Never further, never over http.
//   - A redirect to another scheme, host or port loses the Authorization header, for good.
//   - Plain http is spoken only with Options.AllowHTTP.
//   - A document has at most image.MaxDocument bytes and the digest it was asked by. A blob has the size of its
//     descriptor; its digest is checked by the Sink.
//   - Every wait ends: connect, TLS, headers, and every read of a body have their own limit; retries are counted.
//   - URLs are never printed whole: a redirect's query may be a signed permission.
package registry
