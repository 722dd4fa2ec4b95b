package initramfs

import (
	"fmt"
	"io"
	"math"
)

// archive writes the "newc" format, the one that the kernel unpacks (Documentation/driver-api/early-userspace).
// Owners are root, times are zero, inode numbers count up: the same input gives the same bytes.
type archive struct {
	w   io.Writer
	off int64
	ino uint32
	err error
}

// Types of a mode.
const (
	typeDir  = 0o040000
	typeFile = 0o100000
	typeChar = 0o020000
)

func (a *archive) dir(name string, perm uint32) { a.add(name, typeDir|perm, 0, 0, nil) }

func (a *archive) file(name string, perm uint32, data []byte) { a.add(name, typeFile|perm, 0, 0, data) }

func (a *archive) char(name string, perm, major, minor uint32) {
	a.add(name, typeChar|perm, major, minor, nil)
}

func (a *archive) add(name string, mode, major, minor uint32, data []byte) {
	if uint64(len(data)) > math.MaxUint32 {
		a.err = fmt.Errorf("file %s is larger than the format can say", name)
		return
	}
	a.ino++
	// magic, ino, mode, uid, gid, nlink, mtime, size, dev (major, minor), rdev (major, minor), name size, check
	a.write(fmt.Appendf(nil, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		a.ino, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(name)+1, 0))
	a.write(append([]byte(name), 0))
	a.pad()
	a.write(data)
	a.pad()
}

// pad fills up to a multiple of four, counted from the archive's start.
func (a *archive) pad() { a.write(make([]byte, -a.off&3)) }

func (a *archive) write(b []byte) {
	if a.err != nil {
		return
	}
	n, err := a.w.Write(b)
	a.off += int64(n)
	a.err = err
}

func (a *archive) finish() error {
	a.ino = 0xffffffff // no file's
	a.add("TRAILER!!!", 0, 0, 0, nil)
	return a.err
}
