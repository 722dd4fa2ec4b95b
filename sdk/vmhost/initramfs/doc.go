// Package initramfs makes the guest's first and only root file system: the guest program as /init and the
// kernel modules that it loads, in order, named in /modules/order.
//
// The archive is cached under the digest of all that goes into it, so two pods, two versions of the plugin or two
// kernels never meet in one file, and a half-written one is never seen.
package initramfs
