// Package qemu says how a machine of sdk/vmhost is run by QEMU: the program, its version, its command line and its
// monitor. What it may see and when it is started and ended is sdk/vmhost's.
//
// The machine type is microvm with ACPI and a PCI bus, on which it has the devices of any other machine, where KVM
// works and the kernel is a distribution's: it boots sooner (docs/vm.md has the figures). q35 is for kernels that are built for
// machines of its kind, for machines that are to grow, and for who asks for it. Both have nothing but virtio devices
// and one serial port, on which the kernel complains when it cannot start. A microvm has no clock to measure the
// processor's counter by; KVM tells the guest how fast that is, and where it is emulated the command line does.
//
// Invariants: QEMU opens nothing by itself that the guest could have chosen: disks, taps, sockets are descriptors
// (fdset), the kernel and the initramfs are read-only files of its cage. It runs with its own seccomp filter.
package qemu
