// Package fetcher holds the checks of level protocol that are about fetchers. A fetcher of scheme "docker" is tested with
// the kit's own registry, which misbehaves on demand; one of any other scheme with references that its vendor names.
package fetcher
