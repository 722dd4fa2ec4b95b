// Package kvm finds out whether this host can really run guests by hardware.
//
// That /dev/kvm opens says little: inside a VM it may be there, make virtual machines, and then interpret every
// instruction of a guest's kernel, at a thousandth of the speed, until it meets one that it does not know. So a
// guest is run: a loop of a few million instructions in ring 0, which takes milliseconds where KVM works.
//
// Nothing is remembered: the answer costs some milliseconds, and holds for this boot of this host alone.
package kvm
