package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"

	"golang.org/x/sys/unix"
)

// channel is how a bare machine's agent is listened to: the way that rkt takes on this host, since the initramfs has
// the modules for that alone.
type channel struct {
	args  []string // of QEMU
	words string   // for the guest's kernel
	given *os.File // descriptor 3 of QEMU, or nil
	ours  *os.File
	vsock int // a listening socket, or -1
}

func newChannel() (*channel, error) {
	if _, err := os.Stat("/dev/vhost-vsock"); err != nil {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		return &channel{vsock: -1, ours: os.NewFile(uintptr(fds[0]), "agent"), given: os.NewFile(uintptr(fds[1]), "guest"), words: "rkt.ctl=port:rkt.ctl",
			args: []string{"-device", "virtio-serial-pci", "-chardev", "socket,id=c,fd=3", "-device", "virtserialport,chardev=c,name=rkt.ctl"}}, nil
	}
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	err = errors.Join(unix.Bind(fd, &unix.SockaddrVM{CID: unix.VMADDR_CID_ANY, Port: unix.VMADDR_PORT_ANY}), unix.Listen(fd, 1))
	sa, serr := unix.Getsockname(fd)
	vm, ok := sa.(*unix.SockaddrVM)
	if err = errors.Join(err, serr); err != nil || !ok {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return &channel{vsock: fd, words: fmt.Sprintf("rkt.ctl=vsock:%d", vm.Port),
		args: []string{"-device", fmt.Sprintf("vhost-vsock-pci,guest-cid=%d", 0x10000+rand.Uint32N(1<<31))}}, nil
}

// first waits for the agent's first byte.
func (c *channel) first() error {
	if c.given != nil {
		c.given.Close() // so that the machine's end is seen
	} else {
		const most = 10 * 60 * 1000
		if n, err := unix.Poll([]unix.PollFd{{Fd: int32(c.vsock), Events: unix.POLLIN}}, most); n != 1 || err != nil {
			return fmt.Errorf("no agent has called: %w", err)
		}
		fd, _, err := unix.Accept4(c.vsock, unix.SOCK_CLOEXEC)
		if err != nil {
			return err
		}
		c.ours = os.NewFile(uintptr(fd), "vsock")
	}
	_, err := io.ReadFull(c.ours, make([]byte, 1))
	return err
}

// Close ends what the machine waits for, and so the machine.
func (c *channel) Close() error {
	if c.vsock >= 0 {
		unix.Close(c.vsock)
	}
	if c.ours != nil {
		return c.ours.Close()
	}
	return nil
}
