package unpack

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/core/internal/linux"
)

func (l *layer) dir(at place, h *tar.Header) error {
	err := unix.Mkdirat(at.fd, at.base, 0o700)
	if err == unix.EEXIST {
		var st unix.Stat_t
		if err := unix.Fstatat(at.fd, at.base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			if err := l.replace(at); err != nil {
				return err
			}
			err = unix.Mkdirat(at.fd, at.base, 0o700)
		} else {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	return l.dirMetadata(at.fd, at.base, at.path, h)
}

func (l *layer) dirMetadata(dirfd int, base, canon string, h *tar.Header) error {
	mode := permBits(h)
	if l.rootless {
		mode |= 0o700 // until finishDirs, or its own content could not be made
	} else if h.Uid != 0 || h.Gid != 0 {
		if err := unix.Fchownat(dirfd, base, h.Uid, h.Gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return fmt.Errorf("set owner: %w", err)
		}
	}
	if err := unix.Fchmodat(dirfd, base, mode, 0); err != nil {
		return fmt.Errorf("set mode: %w", err)
	}
	if attrs := xattrs(h); len(attrs) > 0 {
		fd, err := linux.Openat2(dirfd, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0, linux.Beneath)
		if err != nil {
			return err
		}
		err = l.setXattrs(fd, attrs)
		unix.Close(fd)
		if err != nil {
			return err
		}
	}
	l.later[canon] = dirMeta{permBits(h), timespec(h.ModTime)}
	return l.record(KindDir, canon, h, 0, 0, "")
}

func (l *layer) file(at place, h *tar.Header, content io.Reader) error {
	if h.Size < 0 || h.Size > l.lim.Bytes-l.res.Size {
		return &limitError{"bytes in its files", l.lim.Bytes}
	}
	const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
	mode := permBits(h)
	fd, err := unix.Openat(at.fd, at.base, flags, mode&0o777)
	if err == unix.EEXIST {
		if err := l.replace(at); err != nil {
			return err
		}
		fd, err = unix.Openat(at.fd, at.base, flags, mode&0o777)
	}
	if err != nil {
		return fmt.Errorf("make file: %w", err)
	}
	defer unix.Close(fd)
	crc, err := l.write(fd, h.Size, content)
	if err != nil {
		return err
	}
	l.res.Size += h.Size
	// Owner before mode and attributes: chown(2) clears setuid bits and security.capability.
	if !l.rootless && (h.Uid != 0 || h.Gid != 0) {
		if err := unix.Fchown(fd, h.Uid, h.Gid); err != nil {
			return fmt.Errorf("set owner: %w", err)
		}
	}
	if mode&^0o777 != 0 {
		if err := unix.Fchmod(fd, mode); err != nil {
			return fmt.Errorf("set mode: %w", err)
		}
	}
	if attrs := xattrs(h); len(attrs) > 0 {
		if err := l.setXattrs(fd, attrs); err != nil {
			return err
		}
	}
	ts := timespec(h.ModTime)
	if err := futimens(fd, ts); err != nil {
		return fmt.Errorf("set time: %w", err)
	}
	return l.record(KindFile, at.path, h, h.Size, crc, "")
}

// holeSize is the least run of zeros that is left out of a file.
const holeSize = 64 << 10

var crcTable = crc32.MakeTable(crc32.Castagnoli)

// write copies size bytes into fd. A long run of zeros becomes a hole, so that a sparse file stays one and a
// claim of terabytes costs no disk.
func (l *layer) write(fd int, size int64, r io.Reader) (crc uint32, err error) {
	var done int64
	hole := false
	for done < size {
		n, err := io.ReadFull(r, l.buf[:min(int64(len(l.buf)), size-done)])
		if err != nil {
			return 0, fmt.Errorf("read content: %w", noEOF(err))
		}
		b := l.buf[:n]
		crc = crc32.Update(crc, crcTable, b)
		done += int64(n)
		if hole = n >= holeSize && bytes.Equal(b, l.zero[:n]); hole {
			if _, err := unix.Seek(fd, int64(n), io.SeekCurrent); err != nil {
				return 0, fmt.Errorf("write content: %w", err)
			}
			continue
		}
		for len(b) > 0 {
			m, err := unix.Write(fd, b)
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				return 0, fmt.Errorf("write content: %w", err)
			}
			b = b[m:]
		}
	}
	if hole {
		if err := unix.Ftruncate(fd, size); err != nil {
			return 0, fmt.Errorf("write content: %w", err)
		}
	}
	return crc, nil
}

func (l *layer) symlink(at place, h *tar.Header) error {
	if h.Linkname == "" || len(h.Linkname) > maxPath {
		return fmt.Errorf("the symlink's target has %d bytes", len(h.Linkname))
	}
	err := unix.Symlinkat(h.Linkname, at.fd, at.base)
	if err == unix.EEXIST {
		if err := l.replace(at); err != nil {
			return err
		}
		err = unix.Symlinkat(h.Linkname, at.fd, at.base)
	}
	if err != nil {
		return fmt.Errorf("make symlink: %w", err)
	}
	if err := l.inodeMetadata(at, h); err != nil {
		return err
	}
	return l.record(KindSymlink, at.path, h, 0, 0, h.Linkname)
}

func (l *layer) hardlink(at place, h *tar.Header) error {
	target, err := cleanName(h.Linkname)
	if err != nil || target == "." {
		return fmt.Errorf("hardlink to %s: %w", quote(h.Linkname), orElse(err, "it is the layer's root"))
	}
	// Looking for the target may throw the descriptor out of the cache.
	if at.fd, err = unix.FcntlInt(uintptr(at.fd), unix.F_DUPFD_CLOEXEC, 0); err != nil {
		return err
	}
	defer unix.Close(at.fd)
	given, tbase := path.Split(target)
	tfd, tparent, err := l.dirs.parent(path.Clean(given), false)
	if err != nil {
		return fmt.Errorf("hardlink to %s: %w", quote(h.Linkname), notInLayer(err))
	}
	canon := path.Join(tparent, tbase)
	var st unix.Stat_t
	if err := unix.Fstatat(tfd, tbase, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("hardlink to %s: %w", quote(h.Linkname), notInLayer(err))
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR || st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 {
		return fmt.Errorf("hardlink to %s: it is a directory or a whiteout", quote(h.Linkname))
	}
	if canon == at.path {
		return nil
	}
	err = unix.Linkat(tfd, tbase, at.fd, at.base, 0)
	if err == unix.EEXIST {
		if err := l.replace(at); err != nil {
			return err
		}
		// When that was a directory, the target may have been in it.
		err = unix.Linkat(tfd, tbase, at.fd, at.base, 0)
	}
	if err != nil {
		return fmt.Errorf("hardlink to %s: %w", quote(h.Linkname), err)
	}
	return l.journal.add(&Entry{Kind: KindHardlink, Path: at.path, Target: canon})
}

func (l *layer) node(at place, h *tar.Header) error {
	kind, typ, dev := KindFifo, uint32(unix.S_IFIFO), 0
	switch h.Typeflag {
	case tar.TypeChar:
		kind, typ = KindChar, unix.S_IFCHR
	case tar.TypeBlock:
		kind, typ = KindBlock, unix.S_IFBLK
	}
	if kind != KindFifo {
		if h.Devmajor < 0 || h.Devmajor >= 1<<12 || h.Devminor < 0 || h.Devminor >= 1<<20 {
			return fmt.Errorf("there is no device %d:%d", h.Devmajor, h.Devminor)
		}
		if dev = int(unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor))); dev == 0 && kind == KindChar {
			return errors.New("character device 0:0 is overlayfs's whiteout; an image deletes by .wh.NAME")
		}
		if l.rootless {
			l.skip("%s: device not made: needs root", quote(h.Name))
			return nil
		}
	}
	err := unix.Mknodat(at.fd, at.base, typ|permBits(h)&0o777, dev)
	if err == unix.EEXIST {
		if err := l.replace(at); err != nil {
			return err
		}
		err = unix.Mknodat(at.fd, at.base, typ|permBits(h)&0o777, dev)
	}
	if err != nil {
		return fmt.Errorf("make device or fifo: %w", err)
	}
	if err := l.inodeMetadata(at, h); err != nil {
		return err
	}
	return l.record(kind, at.path, h, int64(dev), 0, "")
}

// inodeMetadata sets owner and time of what is not opened.
func (l *layer) inodeMetadata(at place, h *tar.Header) error {
	if !l.rootless && (h.Uid != 0 || h.Gid != 0) {
		if err := unix.Fchownat(at.fd, at.base, h.Uid, h.Gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return fmt.Errorf("set owner: %w", err)
		}
	}
	ts := timespec(h.ModTime)
	if err := unix.UtimesNanoAt(at.fd, at.base, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("set time: %w", err)
	}
	return nil
}

// replace removes what an earlier entry of this layer left under the name.
func (l *layer) replace(at place) error {
	var st unix.Stat_t
	if err := unix.Fstatat(at.fd, at.base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	typ := st.Mode & unix.S_IFMT
	if typ == unix.S_IFCHR && st.Rdev == 0 {
		// Deleted from the layers below, then made anew: a directory must not merge with theirs. A mark on
		// anything else is dropped in the end.
		if err := l.setOpaque(at.path); err != nil {
			return err
		}
	}
	if err := l.journal.add(&Entry{Kind: KindRemoved, Path: at.path}); err != nil {
		return err
	}
	var err error
	if typ == unix.S_IFDIR {
		err = linux.RemoveAt(at.fd, at.base)
	} else {
		err = unix.Unlinkat(at.fd, at.base, 0)
	}
	if err != nil {
		return fmt.Errorf("replace what is there: %w", err)
	}
	if typ == unix.S_IFDIR || typ == unix.S_IFLNK {
		l.dirs.stale = true
	}
	return nil
}

func (l *layer) record(k Kind, canon string, h *tar.Header, size int64, crc uint32, target string) error {
	e := Entry{Kind: k, Mode: permBits(h), UID: h.Uid, GID: h.Gid, MTime: timespec(h.ModTime).Sec, Size: size, CRC: crc,
		Path: canon, Target: target}
	if l.rootless {
		e.UID, e.GID = -1, -1
	}
	return l.journal.add(&e)
}

func permBits(h *tar.Header) uint32 { return uint32(h.Mode) & 0o7777 }

// timespec keeps a time within what ext4 and XFS can hold; an archive may say anything.
func timespec(t time.Time) unix.Timespec {
	const least, most = -1 << 31, 1<<33 - 1
	sec := min(max(t.Unix(), least), most)
	return unix.Timespec{Sec: sec, Nsec: int64(t.Nanosecond())}
}

// futimens is utimensat(2) of an open file, which x/sys has no wrapper for.
func futimens(fd int, ts unix.Timespec) error {
	both := [2]unix.Timespec{ts, ts}
	_, _, e := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&both[0])), 0, 0, 0)
	if e != 0 {
		return e
	}
	return nil
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func orElse(err error, s string) error {
	if err != nil {
		return err
	}
	return errors.New(s)
}

func notInLayer(err error) error {
	if errors.Is(err, unix.ENOENT) {
		return errors.New("this layer holds no such entry before it")
	}
	return err
}
