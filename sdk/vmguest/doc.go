// Package vmguest is PID 1 of the guest of a VM flavor, and the agent that the host speaks with (package agent).
// Inside the guest a pod is what it is on the host: sdk/linuxpod runs it, with all its namespaces, cgroups and
// filters. This package makes the guest look to linuxpod like a host:
//
//	boot       file systems of the kernel, modules in the order of /modules/order, cgroup v2, loopback
//	channel    the byte channel that the kernel's command line names, waiting for the host on it
//	start      disks, shares, network, clock and limits as the PodSpec says; a pod directory made of it; PID 1
//	           of the pod born in it
//	afterwards streams, signals, sizes, enter; at the end the machine is switched off
//
// The kernel's command line may say (words that the kernel leaves to others, so they need no "-- "):
//
//	rkt.ctl=port:NAME    virtio-serial port of that name; "port:rkt.ctl" is the default
//	rkt.ctl=vsock:PORT   connect to the host's port
//	rkt.ctl=tty:hvc1     a terminal device, made raw
//	rkt.off=reboot       end by a reboot, for VMMs that end at that alone (kvmtool, with reboot=k)
//
// Everything happens in one process; the pod's PID 1 and the commands of enter are the same program again.
// The process is root of the guest and trusts the host. It does not trust the apps: no file of theirs is opened,
// no name of theirs believed, and they reach nothing of it but their own streams.
//
// Invariants: when the channel is lost the machine is off at once; nothing survives it that the host would have
// to know of. A panic here is a panic of the guest's kernel, which ends the VMM (panic=-1).
package vmguest
