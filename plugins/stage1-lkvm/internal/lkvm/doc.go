// Package lkvm says how a machine of sdk/vmhost is run by kvmtool, the kernel developers' small VMM. What it may see
// and when it is started and ended is sdk/vmhost's.
//
// It needs KVM, and the host's vhost_vsock for the control channel: its other devices escape bytes. It has no
// firmware and no ACPI: a guest ends its machine by a reboot. Directories are shared by 9p, which Debian's cloud
// kernels lack, so the guest's kernel is a generic one.
//
// What differs from other flavors: the server of shared directories is kvmtool itself, so with host volumes it runs
// as root with the capabilities to read and write files, and what an app creates there belongs to root until the
// app changes it.
package lkvm
