// Package vmhost is the host half of a stage1 that runs pods in virtual machines, for any VMM: ours are QEMU and
// kvmtool, a vendor's needs a VMM (an interface of four methods) and two mains of a few lines.
//
//	service     the gRPC half: Validate, Run (kernel, initramfs, disks -> stage1/machine.json), Enter, Stop, Probe
//	supervisor  what `rkt run` becomes: taps, shared directories, the VMM in its cage, the guest's agent
//	enter       what `rkt enter` becomes: a client of the supervisor's socket
//	kernel, initramfs, disk, tap, kvm, cage   one subject each
//
// This package holds what the halves share: the admin's configuration, the description of a machine, how large it
// is, and the VMM interface. The guest runs sdk/vmguest, which runs there the very code that stage1-linux runs on
// the host; sdk/vmguest/agent is what is spoken between the two.
//
// Sizing. Memory is the sum of the apps' limits, with memoryPerApp (128 MiB) for an app that has none, plus
// memoryOverhead (128 MiB) for the guest's kernel, and at least memoryMin (256 MiB). There are as many processors
// as the apps' CPU limits add up to, rounded up, and at least cpus (1); never more than the host has, and one
// where the machine is emulated.
//
// Invariants: the VMM is told everything by descriptor or in its own mount namespace, and runs as a user of this
// pod alone; nothing that the guest says becomes a path, a size or a command on the host.
package vmhost
