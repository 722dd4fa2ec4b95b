package plugin

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/core/internal/linux"
)

// rundir is the directory in which go-plugin makes one private directory a launch, for the socket:
//
//	/run/rkt/plugins/            root 0711: not listable, so that a plugin cannot find another one's
//	  plugin-dirNNNN/            0700, of the plugin's uid; locked by rkt while it is in use
//	    pluginNNNN               the socket
//
// A directory whose lock is free belongs to an rkt that was killed; the next launch removes it. The lock on the
// base makes "mkdir, then lock" one step for those who clean: makers share it, a cleaner wants it alone.

// runBase returns the base for euid.
func runBase(euid int) (string, error) {
	if euid == 0 {
		return "/run/rkt/plugins", nil
	}
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if !filepath.IsAbs(dir) {
		return "", errors.New("XDG_RUNTIME_DIR is not set to an absolute path; log in through PAM, or set it to a directory that is yours alone")
	}
	return filepath.Join(dir, "rkt/plugins"), nil
}

// makeBase makes the base and insists that nobody else can write to it.
func makeBase(path string, euid int) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	if err := os.Mkdir(path, 0o711); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		f.Close()
		return nil, &os.PathError{Op: "fstat", Path: path, Err: err}
	}
	if int(st.Uid) != euid || st.Mode&0o022 != 0 {
		f.Close()
		return nil, fmt.Errorf("%s belongs to uid %d with mode %04o; it must be yours alone: remove it", path, st.Uid, st.Mode&0o7777)
	}
	return f, nil
}

// sweep removes what killed processes left in the base. It is never waited for.
func sweep(base *os.File) {
	if linux.TryLock(base) != nil {
		return
	}
	defer linux.Unlock(base)
	names, err := base.Readdirnames(-1)
	if err != nil {
		return
	}
	for _, name := range names {
		path := filepath.Join(base.Name(), name)
		f, err := linux.OpenDir(path)
		if err != nil {
			continue
		}
		if linux.TryLock(f) == nil {
			_ = linux.RemoveAll(path)
		}
		f.Close()
	}
}

// own locks a fresh private directory and gives it to the plugin.
func own(dir string, c *confinement) (*os.File, error) {
	f, err := linux.OpenDir(dir)
	if err != nil {
		return nil, err
	}
	err = linux.TryLock(f)
	if err == nil && c.changeUser {
		err = f.Chown(c.uid, c.gid)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
