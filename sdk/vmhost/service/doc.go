// Package service is the gRPC half of a VM flavor: a stage1.Stage1 for any VMM.
//
// Validate refuses by field what no virtual machine, or not this VMM, can do. Run makes everything that can be made
// before the pod starts and needs no process to hold it: it chooses kernel and acceleration, fills the caches of
// initramfs and layer images, makes the pod's disk, and writes stage1/machine.json for the supervisor, which is
// the only thing that the two halves share. It starts nothing but the tools that make disks.
package service
