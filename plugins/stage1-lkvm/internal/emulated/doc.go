// Package emulated is kvmtool where there is no virtualization: a program that takes kvmtool's command line and has QEMU
// emulate the machine that it describes. The tests run pods of this flavor with it on any host, so that everything of it
// but kvmtool itself is exercised: its four disks opened by path, its 9p shares, its end by a reboot.
//
// It is for tests alone, and no part of the plugin. Two things differ from kvmtool: the machine is emulated, and the
// control channel is a virtio-serial port, since a vsock needs the host's vhost_vsock.
package emulated
