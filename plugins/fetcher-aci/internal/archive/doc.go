// Package archive reads an ACI: it takes the compression off and finds the image manifest. The bytes come from
// hostile servers and nothing has vouched for them when the manifest is read for the first time.
//
// It owns compression, limits and the rule what an ACI may hold (`manifest` and `rootfs/`); the manifest's
// meaning is appc's, writing a layer is convert's.
//
// Invariants: memory is bounded whatever the archive claims (an xz dictionary above 64 MiB is refused before it
// is allocated); no more than MaxBytes come out of an archive of any size.
package archive
