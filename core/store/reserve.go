package store

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A fetcher writes what a server sends, and a hostile one writes without end. A quota would bound one image, and guess
// how large images may be; what hurts is a file system with no room left for anybody. So a part of it is kept free: a
// fiftieth, at most 512 MiB, and a fiftieth of its inodes. Who goes on beyond that is stopped, and what it wrote removed.

const (
	reservePart = 50
	reserveMost = 512 << 20
	guardPeriod = 50 * time.Millisecond // what is written meanwhile is what the reserve is for
)

// FullError says that the file system of a staging directory has too little room left.
type FullError struct {
	Dir        string
	Left, Kept uint64
	Unit       string // "MiB", "inodes"
}

func (e *FullError) Error() string {
	return fmt.Sprintf("the file system of %s has %d %s left, of which %d are kept free (make room with rkt image gc and rkt gc, or choose another --dir)",
		e.Dir, e.Left, e.Unit, e.Kept)
}

// Room returns a *FullError when the reserve has been reached.
func (st *Staging) Room() error {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(st.lock.Fd()), &fs); err != nil {
		return os.NewSyscallError("fstatfs", err)
	}
	return room(st.dir, &fs)
}

func room(dir string, fs *unix.Statfs_t) error {
	size := uint64(fs.Frsize)
	left, kept := fs.Bavail*size, min(fs.Blocks*size/reservePart, reserveMost)
	if left < kept {
		return &FullError{Dir: dir, Left: left >> 20, Kept: kept >> 20, Unit: "MiB"}
	}
	if kept := fs.Files / reservePart; fs.Ffree < kept { // Files is 0 where inodes are not counted
		return &FullError{Dir: dir, Left: fs.Ffree, Kept: kept, Unit: "inodes"}
	}
	return nil
}

// Guard ends the context that it returns, with a *FullError as its cause, as soon as the reserve is reached. stop ends
// the watch.
func (st *Staging) Guard(ctx context.Context) (guarded context.Context, stop func()) {
	guarded, cancel := context.WithCancelCause(ctx)
	go func() {
		tick := time.NewTicker(guardPeriod)
		defer tick.Stop()
		for {
			select {
			case <-guarded.Done():
				return
			case <-tick.C:
			}
			if err := st.Room(); err != nil {
				cancel(err)
				return
			}
		}
	}()
	return guarded, func() { cancel(nil) }
}
