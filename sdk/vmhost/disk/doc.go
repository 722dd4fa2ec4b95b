// Package disk makes the disk images of a guest: one read-only erofs image per image layer, made once and shared
// by all pods, and one sparse, writable ext4 image per pod for everything that apps write.
//
// A layer's image is an exact copy of the layer's directory as overlayfs wants it (owners, times, xattrs, whiteouts
// as character devices), so the guest's overlay over such images is the host's over the directories. Images are
// made under a lock of their own and renamed into place complete; who finds one may open it and lose its name later.
//
// External programs: mkfs.erofs (erofs-utils), mke2fs (e2fsprogs). They read what the store has unpacked, as root.
package disk
