// Package ocilayout writes an OCI image layout directory (image-spec, image-layout.md): what a fetcher
// leaves for core. It uses the standard library and golang.org/x/sys alone.
//
// It owns the names below one directory:
//
//	oci-layout                    written by Done
//	index.json                    written by Done, last: before it, nothing in the directory counts
//	blobs/<alg>/<hex>             a complete blob, its bytes have this digest
//	blobs/<alg>/<hex>.partial     a blob that is being written, or was when the process died
//	blobs/sha256/new-*.partial    a blob whose digest is not known before its end
//
// It does not choose what to download or decide what an image consists of. Of other people's layouts it copies those with
// one image whole.
//
// Invariants: a blob gets its final name only after its digest and size were found right, by rename; no more
// bytes than promised reach the disk; nothing outside the directory is touched, whatever a digest says; memory
// does not grow with the size of a blob. Nothing is synced: core digests every blob again when it takes the
// directory over, and Has does so for what a former process left.
package ocilayout
