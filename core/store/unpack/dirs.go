package unpack

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/core/internal/linux"
)

// cachedDirs is how many parent directories stay open. Archives go depth first, so the next entry's parent is
// nearly always among the last few.
const cachedDirs = 64

// dirs opens the parents of entries: below root, never through a symlink that it has not read itself.
// Directories are known by their canonical path: relative, clean, no symlink in it; "." is the root.
type dirs struct {
	root  int
	open  map[string]cachedDir // by the path as entries give it
	order []string
	stale bool                                      // a directory or a symlink has been replaced: what is open may have moved
	made  func(canon string, replacedWhiteout bool) // an implicit parent has been made
}

type cachedDir struct {
	fd    int
	canon string
}

func newDirs(root int, made func(string, bool)) *dirs {
	return &dirs{root: root, open: make(map[string]cachedDir, cachedDirs), made: made}
}

// parent opens the directory p and makes what is missing of it. The descriptor
// is the cache's and good until the next call.
func (d *dirs) parent(p string, create bool) (fd int, canon string, err error) {
	if p == "." {
		return d.root, ".", nil
	}
	if d.stale {
		d.forget()
	}
	if c, ok := d.open[p]; ok {
		return c.fd, c.canon, nil
	}
	canon = p
	fd, err = d.openCanon(p)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) && !create {
			return -1, "", err
		}
		fd, canon, err = d.walk(p, create)
	}
	if err != nil {
		return -1, "", err
	}
	if len(d.order) == cachedDirs {
		unix.Close(d.open[d.order[0]].fd)
		delete(d.open, d.order[0])
		d.order = append(d.order[:0], d.order[1:]...)
	}
	d.open[p] = cachedDir{fd, canon}
	d.order = append(d.order, p)
	return fd, canon, nil
}

// openCanon opens a directory by its canonical path.
func (d *dirs) openCanon(p string) (int, error) {
	return linux.Openat2(d.root, p, unix.O_PATH|unix.O_DIRECTORY, 0, linux.Beneath)
}

// forget closes everything: rare, and never wrong. It waits for the next call of parent, so that the current
// entry's own descriptor stays good.
func (d *dirs) forget() {
	d.stale = false
	for _, c := range d.open {
		unix.Close(c.fd)
	}
	clear(d.open)
	d.order = d.order[:0]
}

// walk goes to p one component at a time: makes missing directories, and follows symlinks of the layer inside
// the layer, where "/" is its root and ".." of the root is the root. Images do hold entries below a symlink
// (lib -> usr/lib, then lib/x), and every engine puts them where the link points.
func (d *dirs) walk(p string, create bool) (fd int, canon string, err error) {
	todo := strings.Split(p, "/")
	canon = "."
	fd, err = d.dup(".")
	links := 0
	for err == nil && len(todo) > 0 {
		c := todo[0]
		todo = todo[1:]
		switch c {
		case "", ".":
			continue
		case "..":
			unix.Close(fd)
			canon = path.Dir(canon)
			fd, err = d.dup(canon)
			continue
		}
		var next int
		next, err = linux.Openat2(fd, c, unix.O_PATH|unix.O_DIRECTORY, 0, linux.Beneath)
		switch err {
		case nil:
			unix.Close(fd)
			fd, canon = next, path.Join(canon, c)
			continue
		case unix.ENOENT:
			if !create {
				unix.Close(fd)
				return -1, "", err
			}
			err = unix.Mkdirat(fd, c, 0o755)
			d.tell(err, path.Join(canon, c), false)
			todo = append([]string{c}, todo...)
			continue
		case unix.ELOOP, unix.ENOTDIR:
		default:
			err = fmt.Errorf("open parent %q: %w", path.Join(canon, c), err)
			continue
		}
		var target string
		target, err = readlink(fd, c)
		switch {
		case err == nil:
			if links++; links > maxSymlinks {
				err = fmt.Errorf("more than %d symlinks on the way to %q", maxSymlinks, p)
				continue
			}
			if strings.HasPrefix(target, "/") {
				unix.Close(fd)
				canon = "."
				fd, err = d.dup(".")
			}
			todo = append(strings.Split(target, "/"), todo...)
		case err == unix.EINVAL && create && isWhiteout(fd, c):
			// A whiteout of this layer, and now something below the name: the directory is new.
			if err = unix.Unlinkat(fd, c, 0); err == nil {
				err = unix.Mkdirat(fd, c, 0o755)
			}
			d.tell(err, path.Join(canon, c), true)
			todo = append([]string{c}, todo...)
		case err == unix.EINVAL:
			err = fmt.Errorf("parent %q is not a directory", path.Join(canon, c))
		}
	}
	if err != nil {
		if fd >= 0 {
			unix.Close(fd)
		}
		return -1, "", err
	}
	return fd, canon, nil
}

func (d *dirs) tell(err error, canon string, whiteout bool) {
	if err == nil {
		d.made(canon, whiteout)
	}
}

// dup opens a canonical directory as a descriptor of the caller's own.
func (d *dirs) dup(canon string) (int, error) { return d.openCanon(canon) }

func readlink(dirfd int, name string) (string, error) {
	buf := make([]byte, maxPath+1)
	n, err := unix.Readlinkat(dirfd, name, buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// isWhiteout says whether name is overlayfs's whiteout, a character device 0:0.
func isWhiteout(dirfd int, name string) bool {
	var st unix.Stat_t
	return unix.Fstatat(dirfd, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil &&
		st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
}
