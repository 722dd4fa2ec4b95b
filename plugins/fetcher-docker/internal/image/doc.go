// Package image reads manifests and indexes, OCI's and docker's, and chooses the manifest of a platform. It
// moves no bytes itself: Resolve asks for documents through a function of its caller.
//
// The documents are hostile. What comes out has been checked: one kind of document only, digests that are
// digests, sizes above zero, layer types that can be unpacked, no layer that lies on another server.
// Errors have the reasons IMAGE_INVALID and IMAGE_NOT_FOUND.
package image
