package rootfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/mnt"
)

// copyUp fills an empty volume with what the image has at target, owners and modes included. A volume that
// holds anything is left alone: an app or an earlier start has used it.
//
// Both sides are walked through os.Root: names in an image are hostile, and the volume may be shared with
// an app that runs.
func (b *builder) copyUp(target, volume string) error {
	fd, err := mnt.Open(b.Dir, target, unix.O_PATH|unix.O_DIRECTORY)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	dst, err := os.OpenRoot(volume)
	if err != nil {
		return err
	}
	defer dst.Close()
	if names, err := fs.ReadDir(dst.FS(), "."); err != nil || len(names) > 0 {
		return err
	}
	src, err := os.OpenRoot("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return err
	}
	defer src.Close()
	return fs.WalkDir(src.FS(), ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return copyEntry(src, dst, name)
	})
}

func copyEntry(src, dst *os.Root, name string) error {
	info, err := src.Lstat(name)
	if err != nil {
		return err
	}
	uid, gid := 0, 0
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		uid, gid = int(st.Uid), int(st.Gid)
	}
	switch info.Mode().Type() {
	case fs.ModeDir:
		if name != "." {
			if err := dst.Mkdir(name, 0o700); err != nil {
				return err
			}
		}
	case fs.ModeSymlink:
		to, err := src.Readlink(name)
		if err != nil {
			return err
		}
		if err := dst.Symlink(to, name); err != nil {
			return err
		}
		return dst.Lchown(name, uid, gid)
	case 0:
		if err := copyFile(src, dst, name); err != nil {
			return err
		}
	default:
		return nil // sockets, fifos and devices are made by programs, not by volumes
	}
	if err := dst.Lchown(name, uid, gid); err != nil {
		return err
	}
	if err := dst.Chmod(name, info.Mode().Perm()|info.Mode()&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky)); err != nil {
		return err
	}
	return dst.Chtimes(name, info.ModTime(), info.ModTime())
}

func copyFile(src, dst *os.Root, name string) error {
	in, err := src.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := dst.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return errors.Join(err, out.Close())
	}
	if err := copyCaps(in, out); err != nil {
		return errors.Join(err, out.Close())
	}
	return out.Close()
}

// copyCaps keeps file capabilities (ping, for one), the extended attribute that programs depend on.
func copyCaps(in, out *os.File) error {
	const attr = "security.capability"
	buf := make([]byte, 64)
	n, err := unix.Fgetxattr(int(in.Fd()), attr, buf)
	if err != nil {
		return nil // none, or a file system without
	}
	return unix.Fsetxattr(int(out.Fd()), attr, buf[:n], 0)
}
