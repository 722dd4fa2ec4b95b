// Package unpack turns one compressed layer into a directory in overlayfs's own form, in a process of its own.
//
//	core (root)                                  unpack-layer (the same executable, run again)
//	open the blob, beneath the layout
//	start the child in new mount, pid, net,
//	ipc and uts namespaces      ───────────────▶ root := the layer's directory, nothing else mounted
//	                                             capabilities: CHOWN DAC_OVERRIDE FOWNER FSETID MKNOD SETFCAP
//	                                             no_new_privs, rlimits
//	read, digest, write         ── stdin ──────▶ decompress, digest (diffID), tar entries -> files
//	                            ◀─ result ────── one JSON document: Result
//	set trusted.overlay.opaque on the
//	directories the child named
//
// What an archive holds is decided by whoever made the image. So the child opens parents by openat2 without
// symlinks even though it is chrooted, creates with O_EXCL, and follows a symlink of the layer only by walking
// it itself, inside the layer. When rkt is not root there is no chroot, and the same rules are what confines it.
//
// trusted.* attributes need CAP_SYS_ADMIN, which is worth more than everything else together: the parent sets
// the one that matters.
//
// The package imports little, so that the child starts fast and the code beside hostile bytes is small. It
// knows nothing of images, stores or names. Main must be dispatched by main() before anything else happens.
package unpack
