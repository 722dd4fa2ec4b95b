// Package qmp is the part of QEMU's machine protocol (docs/interop/qmp-spec) that a supervisor needs: the greeting,
// events, and commands with their answers. Ending a machine needs no command: the guest is asked by its agent, QEMU
// is killed.
//
// A library is not used: digitalocean/go-qemu's would be the one, and brings libvirt's protocol with it.
package qmp
