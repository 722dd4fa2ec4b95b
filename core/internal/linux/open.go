package linux

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Beneath is how everything in a directory of a stranger is opened: no way out of it, no symlink at any place,
// no other file system (openat2: since Linux 5.6).
const Beneath = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV

// OpenBeneath opens name below dir for reading and insists on a regular file. O_NONBLOCK keeps a fifo from
// blocking the open; it has no effect on a regular file.
func OpenBeneath(dir *os.File, name string) (*os.File, os.FileInfo, error) {
	fd, err := Openat2(int(dir.Fd()), name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0, Beneath)
	if err != nil {
		return nil, nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	f := os.NewFile(uintptr(fd), name)
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = &os.PathError{Op: "open", Path: name, Err: ErrNotRegular}
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, fi, nil
}

// ErrNotRegular is returned for a directory, a fifo, a device or a socket where a file was expected.
var ErrNotRegular = errors.New("not a regular file")

// OpenDir opens a directory by a trusted path.
func OpenDir(path string) (*os.File, error) {
	return os.OpenFile(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// Openat2 is openat2(2) with O_CLOEXEC. It retries on EINTR and on EAGAIN, which the kernel returns when a
// rename elsewhere raced with a scoped lookup.
func Openat2(dirfd int, name string, flags int, mode uint32, resolve uint64) (int, error) {
	how := unix.OpenHow{Flags: uint64(flags) | unix.O_CLOEXEC, Mode: uint64(mode), Resolve: resolve}
	for try := 0; ; try++ {
		fd, err := unix.Openat2(dirfd, name, &how)
		if err == unix.EINTR || (err == unix.EAGAIN && try < 128) {
			continue
		}
		return fd, err
	}
}

// Retry calls f until it is not interrupted.
func Retry(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}
