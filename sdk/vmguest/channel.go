package vmguest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/sdk/linuxpod/tty"
)

// deviceTime is how long a device that the VMM promised may take to appear, and pollTime how often it is looked
// for: nothing in the guest runs that would tell.
const (
	deviceTime = 30 * time.Second
	pollTime   = 2 * time.Millisecond
)

// await calls f until it says that it is done, or for too long.
func await(f func() (bool, error)) error {
	for end := time.Now().Add(deviceTime); ; time.Sleep(pollTime) {
		done, err := f()
		if done {
			return err
		}
		if time.Now().After(end) {
			return errors.Join(os.ErrDeadlineExceeded, err)
		}
	}
}

// openChannel opens what rkt.ctl names.
func openChannel(spec string) (io.ReadWriteCloser, error) {
	kind, name, _ := strings.Cut(spec, ":")
	switch kind {
	case "port":
		return openPort("/sys/class/virtio-ports", name)
	case "vsock":
		port, err := strconv.ParseUint(name, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("rkt.ctl=%s: %w", spec, err)
		}
		return dialHost(uint32(port))
	case "tty":
		return openTerminal(name)
	}
	return nil, fmt.Errorf("rkt.ctl=%s is none of port:NAME, vsock:PORT, tty:NAME", spec)
}

// openPort opens the virtio-serial port of that name and waits until the host has its end open: before, a read
// would be the end of the file. It is opened once and stays open, as bytes that come while nobody has it open
// are lost.
func openPort(class, name string) (io.ReadWriteCloser, error) {
	var path string
	err := await(func() (bool, error) {
		var err error
		path, err = findPort(class, name)
		return err == nil, err
	})
	if err != nil {
		return nil, err
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	err = await(func() (bool, error) {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		_, err := unix.Poll(p, 0)
		return err == nil && p[0].Revents&unix.POLLHUP == 0, err
	})
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("wait for the host on port %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

func findPort(class, name string) (string, error) {
	ports, err := os.ReadDir(class)
	if err != nil {
		return "", err
	}
	for _, p := range ports {
		b, err := os.ReadFile(filepath.Join(class, p.Name(), "name"))
		if err == nil && strings.TrimSpace(string(b)) == name {
			return filepath.Join("/dev", p.Name()), nil
		}
	}
	return "", fmt.Errorf("no virtio-serial port is named %s", name)
}

// dialHost connects to the host's vsock port.
func dialHost(port uint32) (io.ReadWriteCloser, error) {
	fd := -1
	err := await(func() (bool, error) {
		var err error
		fd, err = unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return false, err
		}
		if err = unix.Connect(fd, &unix.SockaddrVM{CID: unix.VMADDR_CID_HOST, Port: port}); err != nil {
			unix.Close(fd)
		}
		return err == nil, err
	})
	if err != nil {
		return nil, fmt.Errorf("connect to the host's vsock port %d: %w", port, err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "vsock"), nil
}

// openTerminal opens a terminal device, such as kvmtool's hvc0, and makes it carry every byte.
func openTerminal(name string) (io.ReadWriteCloser, error) {
	if name == "" || strings.ContainsAny(name, "/") {
		return nil, fmt.Errorf("%q is no terminal of /dev", name)
	}
	fd := -1
	err := await(func() (bool, error) {
		var err error
		fd, err = unix.Open("/dev/"+name, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		return err == nil, err
	})
	if err != nil {
		return nil, fmt.Errorf("open /dev/%s: %w", name, err)
	}
	if _, ok := tty.Raw(fd); !ok {
		unix.Close(fd)
		return nil, fmt.Errorf("/dev/%s is no terminal", name)
	}
	return os.NewFile(uintptr(fd), name), nil
}
