// Package qemu says how a machine of sdk/vmhost is run by QEMU: the program, its version, its command line and its
// monitor. What it may see and when it is started and ended is sdk/vmhost's.
//
// The machine type is q35. microvm is for kernels that have the driver of its bus built in (virtio_mmio, not a
// module), and for few devices; under emulation its kernel may wait for a clock for ever on a busy host. Both have
// nothing but virtio devices and one serial port, on which the kernel complains when it cannot start.
//
// Invariants: QEMU opens nothing by itself that the guest could have chosen: disks, taps, sockets are descriptors
// (fdset), the kernel and the initramfs are read-only files of its cage. It runs with its own seccomp filter.
package qemu
