package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/sdk/vmguest/agent"
	"github.com/rkt/rkt/v2/sdk/vmhost"
)

// channel makes the ways that the VMM and the guest speak to us on.
func (f *Flavor) channel(l *vmhost.Launch, files *inherited) (dialer, error) {
	theirs, err := f.console.pipe()
	if err != nil {
		return nil, err
	}
	l.Console = files.add(f.keep(theirs))
	if mon, ok := f.VMM.(vmhost.Monitored); ok {
		ours, theirs, err := pair("monitor")
		if err != nil {
			return nil, err
		}
		l.Monitor = files.add(f.keep(theirs))
		f.monitor = mon.Monitor(ours, func(text string) { fmt.Fprintf(os.Stderr, "rkt: virtual machine: %s\n", printable(text)) })
		go func() {
			defer ours.Close()
			f.monitor.Serve()
		}()
	}
	if f.m.Vsock {
		if f.VMM.Traits().Paths {
			return listenVsock(l)
		}
		dev, err := os.OpenFile("/dev/vhost-vsock", os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		l.Vsock = files.add(f.keep(dev))
		return listenVsock(l)
	}
	ours, theirs, err := pair("control")
	if err != nil {
		return nil, err
	}
	l.Control = files.add(f.keep(theirs))
	return func(ctx context.Context) (*agent.Client, error) { return agent.Dial(ctx, ours) }, nil
}

// pair makes a stream socket pair: our end is polled by the runtime, theirs is as the VMM wants it.
func pair(name string) (io.ReadWriteCloser, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make socket pair: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), name)
	file := os.NewFile(uintptr(fds[0]), name)
	defer file.Close()
	ours, err := net.FileConn(file)
	if err != nil {
		theirs.Close()
		return nil, nil, fmt.Errorf("make socket pair: %w", err)
	}
	return ours, theirs, nil
}

// listenVsock waits for the guest to connect to a port of ours; a connection of any other machine is not taken.
// The context ID is chosen at random: the VMM fails if it is taken, of 2^31.
func listenVsock(l *vmhost.Launch) (dialer, error) {
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("make vsock: %w (modprobe vhost_vsock)", err)
	}
	err = unix.Bind(fd, &unix.SockaddrVM{CID: unix.VMADDR_CID_ANY, Port: unix.VMADDR_PORT_ANY})
	if err == nil {
		err = unix.Listen(fd, 4)
	}
	var sa unix.Sockaddr
	if err == nil {
		sa, err = unix.Getsockname(fd)
	}
	vm, ok := sa.(*unix.SockaddrVM)
	if err != nil || !ok {
		unix.Close(fd)
		return nil, fmt.Errorf("listen on vsock: %w", err)
	}
	l.Port, l.CID = vm.Port, 0x10000+rand.Uint32N(1<<31)
	return func(ctx context.Context) (*agent.Client, error) {
		defer unix.Close(fd)
		for {
			conn, err := acceptVsock(ctx, fd, l.CID)
			if err != nil {
				return nil, err
			}
			if conn != nil {
				return agent.Dial(ctx, conn)
			}
		}
	}, nil
}

// acceptVsock returns nil without an error when there is nobody yet, or somebody else.
func acceptVsock(ctx context.Context, fd int, cid uint32) (io.ReadWriteCloser, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if _, err := unix.Poll(poll, int((100 * time.Millisecond).Milliseconds())); err != nil && !errors.Is(err, unix.EINTR) {
		return nil, err
	}
	conn, sa, err := unix.Accept4(fd, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) || errors.Is(err, unix.ECONNABORTED) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("accept on vsock: %w", err)
	}
	if vm, ok := sa.(*unix.SockaddrVM); !ok || vm.CID != cid {
		unix.Close(conn)
		return nil, nil
	}
	return os.NewFile(uintptr(conn), "vsock"), nil
}
