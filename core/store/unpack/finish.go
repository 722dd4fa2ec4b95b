package unpack

import (
	"archive/tar"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// finishDirs gives the directories the times of the archive, which every entry made in them has changed, and,
// for a user, the modes. Children come before their parents: a mode may take the way to them.
func (l *layer) finishDirs() error {
	for _, p := range slices.Backward(slices.Sorted(maps.Keys(l.later))) {
		at, ok, err := l.directory(p)
		if err != nil {
			return fmt.Errorf("finish directory %s: %w", quote(p), err)
		}
		if !ok {
			continue
		}
		m := l.later[p]
		err = unix.UtimesNanoAt(at.fd, at.base, []unix.Timespec{m.mtime, m.mtime}, unix.AT_SYMLINK_NOFOLLOW)
		if err == nil && l.rootless && m.mode&0o700 != 0o700 {
			err = unix.Fchmodat(at.fd, at.base, m.mode, 0)
		}
		if err != nil {
			return fmt.Errorf("finish directory %s: %w", quote(p), err)
		}
	}
	return nil
}

// finishOpaque names the directories that the parent has to mark.
func (l *layer) finishOpaque() error {
	for _, p := range slices.Sorted(maps.Keys(l.opaque)) {
		_, ok, err := l.directory(p)
		if err != nil {
			return fmt.Errorf("finish directory %s: %w", quote(p), err)
		}
		if !ok {
			continue
		}
		l.res.Opaque = append(l.res.Opaque, p)
		if err := l.journal.add(&Entry{Kind: KindOpaque, Path: p}); err != nil {
			return err
		}
	}
	return nil
}

// directory finds a canonical path again; ok is false when a later entry has replaced it by something else.
func (l *layer) directory(p string) (at place, ok bool, err error) {
	if p == "." {
		return place{fd: l.root, base: ".", path: p}, true, nil
	}
	given, base := path.Split(p)
	fd, canon, err := l.dirs.parent(path.Clean(given), false)
	if err != nil || canon != path.Clean(given) {
		return at, false, nil // gone, or now behind a symlink: not this directory any more
	}
	var st unix.Stat_t
	err = unix.Fstatat(fd, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return at, false, nil
	}
	return place{fd: fd, base: base, path: p}, err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR, err
}

const xattrRecord = "SCHILY.xattr." // PAX, as every tool writes them

// xattrs returns the extended attributes that an image may have: file capabilities and the user's own. Not
// user.overlay.*: overlayfs takes orders from it when mounted with userxattr. Others (security.selinux,
// trusted.*) are the host's matter.
func xattrs(h *tar.Header) map[string]string {
	var out map[string]string
	for k, v := range h.PAXRecords {
		name, ok := strings.CutPrefix(k, xattrRecord)
		if !ok || name != "security.capability" &&
			(!strings.HasPrefix(name, "user.") || strings.HasPrefix(name, "user.overlay.")) {
			continue
		}
		if out == nil {
			out = map[string]string{}
		}
		out[name] = v
	}
	return out
}

func (l *layer) setXattrs(fd int, attrs map[string]string) error {
	for name, value := range attrs {
		err := unix.Fsetxattr(fd, name, []byte(value), 0)
		switch {
		case err == nil:
		case err == unix.ENOTSUP, l.rootless && err == unix.EPERM:
			l.skip("attribute %s: %v", quote(name), err)
		default:
			return fmt.Errorf("set attribute %s: %w", quote(name), err)
		}
	}
	return nil
}
