// Package convert makes an OCI image of an ACI. It runs after the signature was verified, in a process of its
// own that has no network, as an unprivileged user: it writes one layer as a tar file and unpacks nothing.
//
//	ACI                     OCI layout
//	manifest  ────────────> config, and what OCI cannot say in application/vnd.rkt.app.v1+json
//	rootfs/bin/app ───────> layer: bin/app
//	sha512 of the tar ────> the app blob's ID
//
// It owns that translation. What may be in an ACI is archive's and appc's business.
//
// Invariants: the layer holds no name that leads out of it and none that an OCI layer would take for a
// whiteout; memory does not grow with the image; the same ACI gives the same bytes.
package convert
