package local

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// openArchive opens a regular file. A pipe would block and cannot be read twice.
func openArchive(path string, source *os.File) (*os.File, error) {
	f, err := duplicate(source)
	if source == nil {
		f, err = os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	}
	if err != nil {
		return nil, unreadable(path, err)
	}
	fi, err := f.Stat()
	switch {
	case err != nil:
	case fi.IsDir():
		err = plugin.Errorf(reason.ImageNotFound, "open %s: it is a directory; a layout in a directory is named oci:%s", path, path)
	case !fi.Mode().IsRegular():
		err = plugin.Errorf(reason.ImageNotFound, "open %s: it is no regular file", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// unreadable says what is missing, or which part of the path is closed to this user.
func unreadable(path string, err error) error {
	cause := err
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		cause = e.Err
	}
	if !errors.Is(err, fs.ErrPermission) {
		return plugin.Errorf(reason.ImageNotFound, "open %s: %w", path, cause)
	}
	at := closedPart(path)
	mode := ""
	if fi, err := os.Lstat(at); err == nil {
		mode = " (" + fi.Mode().String() + ")"
	}
	return plugin.Errorf(reason.ImageNotFound, "open %s: %w: images are read as the unprivileged user %d, which %s%s is closed to; "+
		"put the image where everybody can read, such as /var/tmp, or open the path with chmod o+rX", path, cause, os.Getuid(), at, mode)
}

// closedPart finds the first directory on the way that cannot be searched, else the path itself.
func closedPart(path string) string {
	at := "/"
	for part := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		next := filepath.Join(at, part)
		if _, err := os.Lstat(next); errors.Is(err, fs.ErrPermission) {
			return at
		}
		at = next
	}
	return path
}

// duplicate gives the donated descriptor a life of its own: what is opened here is closed here.
func duplicate(source *os.File) (*os.File, error) {
	if source == nil {
		return nil, nil
	}
	fd, err := unix.FcntlInt(source.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, &fs.PathError{Op: "duplicate", Path: source.Name(), Err: err}
	}
	f := os.NewFile(uintptr(fd), source.Name())
	if fi, err := f.Stat(); err == nil && fi.Mode().IsRegular() {
		_, err = f.Seek(0, io.SeekStart) // a file offset is shared by all duplicates
		return f, err
	}
	return f, nil
}
