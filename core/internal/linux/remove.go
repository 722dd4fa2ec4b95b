package linux

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// maxOpen bounds the descriptors that a removal holds. A deeper tree is folded: its lower part is renamed up
// to the top and removed from there, so no depth that a stranger can build is too deep.
const maxOpen = 64

// RemoveAll removes path with all below it, never through a symlink and never across a mount. A path that is
// gone is a success. The directory that holds path must be the caller's own.
func RemoveAll(path string) error {
	dir, err := OpenDir(filepath.Dir(path))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	defer dir.Close()
	if err := RemoveAt(int(dir.Fd()), filepath.Base(path)); err != nil {
		return &os.PathError{Op: "remove", Path: path, Err: err}
	}
	return nil
}

// RemoveAt removes name in the directory dirfd with all below it.
func RemoveAt(dirfd int, name string) error {
	r := remover{top: dirfd}
	if err := r.remove(dirfd, name, 0); err != nil {
		return err
	}
	for i := 0; i < r.folded; i++ { // removing one may fold more
		if err := r.remove(dirfd, r.foldName(i), 0); err != nil {
			return err
		}
	}
	return nil
}

type remover struct {
	top    int
	folded int
}

func (r *remover) foldName(i int) string {
	return ".removed." + strconv.Itoa(os.Getpid()) + "." + strconv.Itoa(i)
}

func (r *remover) remove(dirfd int, name string, depth int) error {
	err := unlinkat(dirfd, name, 0)
	if err == nil || err == unix.ENOENT {
		return nil
	}
	// EISDIR is Linux's answer for a directory, EPERM is POSIX's (and an immutable file's).
	if err != unix.EISDIR && err != unix.EPERM {
		return err
	}
	if derr := unlinkat(dirfd, name, unix.AT_REMOVEDIR); derr == nil || derr == unix.ENOENT {
		return nil
	} else if derr != unix.ENOTEMPTY && derr != unix.EEXIST {
		if derr == unix.ENOTDIR {
			return err
		}
		return derr
	}
	if depth >= maxOpen {
		to := r.foldName(r.folded)
		if err := unix.Renameat(dirfd, name, r.top, to); err != nil {
			return err
		}
		r.folded++
		return nil
	}
	if err := r.empty(dirfd, name, depth); err != nil {
		return err
	}
	if err := unlinkat(dirfd, name, unix.AT_REMOVEDIR); err != nil && err != unix.ENOENT {
		return err
	}
	return nil
}

func (r *remover) empty(dirfd int, name string, depth int) error {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW
	fd, err := Openat2(dirfd, name, flags, 0, Beneath)
	if err == unix.EACCES {
		// The owner may have taken their own permission away; as root without DAC_OVERRIDE, or as a user.
		if unix.Fchmodat(dirfd, name, 0o700, 0) == nil {
			fd, err = Openat2(dirfd, name, flags, 0, Beneath)
		}
	}
	if err != nil {
		return err
	}
	d := os.NewFile(uintptr(fd), name)
	defer d.Close()
	for {
		names, err := d.Readdirnames(1024)
		for _, n := range names {
			if err := r.remove(fd, n, depth+1); err != nil {
				if err == unix.EACCES && unix.Fchmod(fd, 0o700) == nil {
					err = r.remove(fd, n, depth+1)
				}
				if err != nil {
					return err
				}
			}
		}
		if err == io.EOF || (err == nil && len(names) == 0) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func unlinkat(dirfd int, name string, flags int) error {
	return Retry(func() error { return unix.Unlinkat(dirfd, name, flags) })
}
