package mnt

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// inRoot resolves symlinks as if the directory were the root, and never through /proc/self/fd and the like.
const inRoot = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS

// maxLinks bounds the symlinks that Ensure follows itself; the kernel's own limit is 40.
const maxLinks = 40

// Open opens name inside root.
func Open(root int, name string, flags int) (int, error) {
	how := &unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: inRoot}
	for {
		fd, err := unix.Openat2(root, name, how)
		// EAGAIN: something was renamed while ".." was resolved; the kernel asks for another try.
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			continue
		}
		return fd, err
	}
}

// Ensure opens the target of a mount inside root with O_PATH. What is missing is created, directories with
// mode 0755 and, unless dir, an empty file at the end; dangling symlinks lead to what they name, inside root.
func Ensure(root int, target string, dir bool) (int, error) {
	if fd, err := Open(root, target, unix.O_PATH); err == nil {
		return fd, check(fd, target, dir)
	} else if !errors.Is(err, unix.ENOENT) {
		return -1, fmt.Errorf("resolve %s inside the app's root: %w", target, err)
	}
	links := 0
	done, rest := ".", split(target)
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		next := done + "/" + name // not cleaned: ".." of a link is the kernel's to resolve
		fd, err := Open(root, next, unix.O_PATH)
		if err == nil {
			unix.Close(fd)
			done = next
			continue
		}
		if !errors.Is(err, unix.ENOENT) {
			return -1, fmt.Errorf("resolve %s inside the app's root: %w", next, err)
		}
		link, err := create(root, done, name, dir || len(rest) > 0)
		if err != nil {
			return -1, fmt.Errorf("create %s inside the app's root: %w", next, err)
		}
		if link == "" {
			done = next
			continue
		}
		if links++; links > maxLinks {
			return -1, fmt.Errorf("resolve %s inside the app's root: %w", target, unix.ELOOP)
		}
		rest = append(split(link), rest...)
		if strings.HasPrefix(link, "/") {
			done = "."
		}
	}
	fd, err := Open(root, done, unix.O_PATH)
	if err != nil {
		return -1, fmt.Errorf("resolve %s inside the app's root: %w", target, err)
	}
	return fd, check(fd, target, dir)
}

// create makes one directory or file. A symlink in its place is returned instead.
func create(root int, parent, name string, dir bool) (link string, err error) {
	p, err := Open(root, parent, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return "", err
	}
	defer unix.Close(p)
	if dir {
		err = unix.Mkdirat(p, name, 0o755)
	} else {
		err = unix.Mknodat(p, name, unix.S_IFREG|0o644, 0)
	}
	if !errors.Is(err, unix.EEXIST) {
		return "", err
	}
	buf := make([]byte, unix.PathMax)
	n, lerr := unix.Readlinkat(p, name, buf)
	if errors.Is(lerr, unix.EINVAL) {
		return "", nil // another app of a shared volume made it meanwhile
	}
	return string(buf[:max(n, 0)]), lerr
}

// check refuses to mount a directory on a file and the reverse, by name instead of by ENOTDIR.
func check(fd int, target string, dir bool) error {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	if err == nil {
		switch isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR; {
		case isDir == dir:
			return nil
		case isDir:
			err = fmt.Errorf("%s is a directory in the app's root, but what is to be mounted there is not", target)
		default:
			err = fmt.Errorf("%s is not a directory in the app's root, but what is to be mounted there is", target)
		}
	}
	unix.Close(fd)
	return err
}

func split(p string) []string {
	return strings.FieldsFunc(p, func(r rune) bool { return r == '/' })
}
