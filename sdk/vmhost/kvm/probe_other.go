//go:build !amd64

package kvm

import "golang.org/x/sys/unix"

// Where no interpreter behind /dev/kvm is known, a machine that can be made is taken to run.
func probe(device string) error {
	fd, err := unix.Open(device, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return openError(device, err)
	}
	defer unix.Close(fd)
	vm, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), 0xae01, 0) // KVM_CREATE_VM
	if errno != 0 {
		return &Unusable{Reason: device + " makes no virtual machine", Err: errno, Remedy: "see dmesg for what kvm says"}
	}
	return unix.Close(int(vm))
}
