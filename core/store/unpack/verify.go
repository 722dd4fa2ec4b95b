package unpack

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/core/internal/linux"
)

// maxFindings is where Verify stops looking.
const maxFindings = 100

// Verify compares an unpacked layer with its journal and returns what differs, nil when nothing does. It
// runs in the caller's process: it parses nothing but the journal, which is ours, and only reads.
func Verify(ctx context.Context, dir, journalPath, journalDigest string, rootless bool) ([]string, error) {
	f, err := os.Open(journalPath)
	if errors.Is(err, os.ErrNotExist) {
		return []string{"its journal is gone"}, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	root := &node{e: &Entry{Kind: KindImplicit, Path: "."}}
	got, err := ReadJournal(f, func(e *Entry) error { root.put(e); return ctx.Err() })
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return []string{err.Error()}, nil
	case got != journalDigest:
		return []string{"its journal has changed"}, nil
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, os.ErrNotExist) {
		return []string{"its directory is gone"}, nil
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(fd)
	v := &verification{ctx: ctx, rootless: rootless, buf: make([]byte, chunkSize)}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	v.stat(root.e, &st)
	if err := v.children(fd, root, "."); err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	return v.found, nil
}

// node is the tree that the journal adds up to.
type node struct {
	e        *Entry
	opaque   bool
	children map[string]*node
}

func (n *node) put(e *Entry) {
	at := n
	if e.Path != "." {
		for c := range strings.SplitSeq(e.Path, "/") {
			next := at.children[c]
			if next == nil {
				if e.Kind == KindRemoved || e.Kind == KindOpaque {
					return
				}
				if at.children == nil {
					at.children = map[string]*node{}
				}
				next = &node{}
				at.children[c] = next
			}
			at = next
		}
	}
	switch e.Kind {
	case KindRemoved:
		at.children, at.e = nil, nil
	case KindOpaque:
		at.opaque = true
	case KindImplicit:
		if at.e == nil || at.e.Kind != KindDir {
			at.e = e
		}
	case KindHardlink:
		// Compared as what it is linked to, by content; its own line has none.
		at.e = e
		if t := n.get(e.Target); t != nil && t.e != nil {
			linked := *t.e
			linked.Path = e.Path
			at.e = &linked
		}
	default:
		at.e = e
	}
}

func (n *node) get(p string) *node {
	for c := range strings.SplitSeq(p, "/") {
		if n = n.children[c]; n == nil {
			return nil
		}
	}
	return n
}

type verification struct {
	ctx      context.Context
	rootless bool
	found    []string
	buf      []byte
}

var errEnough = errors.New("enough found")

func (v *verification) report(p, format string, args ...any) error {
	v.found = append(v.found, quote(p)+": "+fmt.Sprintf(format, args...))
	if len(v.found) == maxFindings {
		return errEnough
	}
	return nil
}

func (v *verification) children(dirfd int, n *node, p string) error {
	names, err := readNames(dirfd)
	if err != nil {
		return v.report(p, "read directory: %v", err)
	}
	for _, name := range names {
		child := path.Join(p, name)
		want := n.children[name]
		if want == nil || want.e == nil {
			if err := v.report(child, "does not belong to the layer"); err != nil {
				return err
			}
			continue
		}
		if err := v.entry(dirfd, name, want, child); err != nil {
			return err
		}
	}
	if len(names) == len(n.children) {
		return v.ctx.Err()
	}
	have := make(map[string]bool, len(names))
	for _, name := range names {
		have[name] = true
	}
	for name, c := range n.children {
		if c.e != nil && !have[name] {
			if err := v.report(path.Join(p, name), "is gone"); err != nil {
				return err
			}
		}
	}
	return v.ctx.Err()
}

func (v *verification) entry(dirfd int, name string, n *node, p string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(dirfd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return v.report(p, "%v", err)
	}
	if err := v.stat(n.e, &st); err != nil {
		return err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		fd, err := linux.Openat2(dirfd, name, unix.O_RDONLY|unix.O_DIRECTORY, 0, linux.Beneath)
		if err != nil {
			return v.report(p, "%v", err)
		}
		defer unix.Close(fd)
		if n.opaque {
			attr := "trusted.overlay.opaque"
			if v.rootless {
				attr = "user.overlay.opaque"
			}
			b := make([]byte, 1)
			if m, err := unix.Fgetxattr(fd, attr, b); err != nil || m != 1 || b[0] != 'y' {
				if err := v.report(p, "is not opaque any more"); err != nil {
					return err
				}
			}
		}
		return v.children(fd, n, p)
	case unix.S_IFREG:
		if n.e.Kind == KindFile {
			return v.content(dirfd, name, n.e, p)
		}
	case unix.S_IFLNK:
		if target, err := readlink(dirfd, name); n.e.Kind == KindSymlink && (err != nil || target != n.e.Target) {
			return v.report(p, "points elsewhere")
		}
	}
	return nil
}

// stat compares what one lstat(2) says.
func (v *verification) stat(e *Entry, st *unix.Stat_t) error {
	want := map[Kind]uint32{KindFile: unix.S_IFREG, KindDir: unix.S_IFDIR, KindImplicit: unix.S_IFDIR, KindSymlink: unix.S_IFLNK,
		KindChar: unix.S_IFCHR, KindBlock: unix.S_IFBLK, KindFifo: unix.S_IFIFO, KindWhiteout: unix.S_IFCHR}[e.Kind]
	var diff []string
	differs := func(bad bool, what string) {
		if bad {
			diff = append(diff, what)
		}
	}
	if want != st.Mode&unix.S_IFMT {
		return v.report(e.Path, "is of another type")
	}
	switch e.Kind {
	case KindImplicit:
		return nil
	case KindWhiteout:
		differs(st.Rdev != 0, "device number")
	default:
		differs(e.Kind != KindSymlink && st.Mode&0o7777 != e.Mode, "mode")
		differs(!v.rootless && (int(st.Uid) != e.UID || int(st.Gid) != e.GID), "owner")
		differs(st.Mtim.Sec != e.MTime, "time")
		differs(e.Kind == KindFile && st.Size != e.Size, "size")
		differs((e.Kind == KindChar || e.Kind == KindBlock) && int64(st.Rdev) != e.Size, "device number")
	}
	if diff == nil {
		return nil
	}
	return v.report(e.Path, "other %s", strings.Join(diff, ", "))
}

func (v *verification) content(dirfd int, name string, e *Entry, p string) error {
	fd, err := linux.Openat2(dirfd, name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOATIME, 0, linux.Beneath)
	if err == unix.EPERM { // O_NOATIME is for the owner
		fd, err = linux.Openat2(dirfd, name, unix.O_RDONLY|unix.O_NONBLOCK, 0, linux.Beneath)
	}
	if err != nil {
		return v.report(p, "%v", err)
	}
	f := os.NewFile(uintptr(fd), p)
	defer f.Close()
	var crc uint32
	for {
		n, err := f.Read(v.buf)
		crc = crc32.Update(crc, crcTable, v.buf[:n])
		if err == io.EOF {
			break
		}
		if err != nil {
			return v.report(p, "%v", err)
		}
		if err := v.ctx.Err(); err != nil {
			return err
		}
	}
	if crc != e.CRC {
		return v.report(p, "content differs")
	}
	return nil
}

// readNames lists a directory without closing its descriptor.
func readNames(dirfd int) ([]string, error) {
	fd, err := linux.Openat2(dirfd, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0, linux.Beneath)
	if err != nil {
		return nil, err
	}
	d := os.NewFile(uintptr(fd), ".")
	defer d.Close()
	names, err := d.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}
