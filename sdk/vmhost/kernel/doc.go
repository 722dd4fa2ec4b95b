// Package kernel finds the guest's kernel and works out which of its modules have to be loaded, in which order.
//
// The kernel is the distribution's (Debian: linux-image-cloud-amd64, in /boot and /lib/modules) or the one that
// the admin's configuration names, modules or not: what a kernel has built in is asked of modules.builtin, and a
// kernel without a module directory is taken to have everything built in.
//
// It reads files alone. modprobe is not needed: modules.dep is a text file, and .ko.xz and .ko.zst are
// decompressed here, since a guest's init loads what it is given.
package kernel
