// Package store keeps images: manifests and configs as blobs, layers unpacked once each, and names.
//
//	<data>/store/version                  "1"
//	<data>/store/images/ID.json           one record per image, written last; its mtime is the last use
//	<data>/store/names/ESCAPED            one file per name: which image it means now
//	<data>/store/blobs/ALG/HEX            manifests, configs and app descriptions (never layers)
//	<data>/store/layers/ALG-HEX/          one directory per diffID: diff/ (overlayfs's form), layer.json, journal
//	<data>/store/tmp/RANDOM/              being filled, or being removed; flock-ed by its owner
//	<data>/store/hold, lock               lock files, see lock.go
//	<data>/staging/NAME/layout/           what a fetcher writes; NAME is flock-ed by its owner
//
// Invariants:
//   - What has its final name is complete and on disk: files are written by atomicfile, layers are renamed into
//     place after a syncfs(2). So SIGKILL or power loss at any moment leaves whole images, and rubbish that no
//     name leads to, which GC removes.
//   - Nothing in a layout is believed. Every byte that enters is digested against its descriptor in the same
//     pass that stores it, and layers are unpacked by a confined child (subpackage unpack).
//   - A layer directory never changes after it has its name, so pods share it as an overlay lower directory.
//   - Any number of rkt processes work on one store.
//
// The package does not own what names mean (core/image), how images are fetched (core/fetch), or which pods use
// what (core/pod): GC asks its caller.
package store
