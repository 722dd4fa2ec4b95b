// Package mnt is the kernel's mount interface by descriptors: a mount is made detached, given its attributes,
// and attached to a directory that has been opened before. No path is ever looked up twice, so nothing that
// an image or a running app renames in between can redirect a mount.
//
// Needs Linux 5.12 (mount_setattr). All functions act in the mount namespace of the calling thread.
package mnt
