package linux

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ErrLocked is returned by the Try functions when somebody else holds the lock.
var ErrLocked = errors.New("locked by another process")

// A flock(2) belongs to the open file, not to the process: two opens of one file exclude each other within a
// process too, and a child that inherits the descriptor holds the lock with its parent.

// TryLock takes the exclusive lock or returns ErrLocked.
func TryLock(f *os.File) error { return flock(f, unix.LOCK_EX|unix.LOCK_NB) }

// TryLockShared takes a shared lock or returns ErrLocked.
func TryLockShared(f *os.File) error { return flock(f, unix.LOCK_SH|unix.LOCK_NB) }

// Lock takes the exclusive lock, waiting until ctx is done.
func Lock(ctx context.Context, f *os.File) error { return wait(ctx, f, TryLock) }

// LockShared takes a shared lock, waiting until ctx is done.
func LockShared(ctx context.Context, f *os.File) error { return wait(ctx, f, TryLockShared) }

// Unlock releases the lock; closing every descriptor of the open file does the same.
func Unlock(f *os.File) error { return flock(f, unix.LOCK_UN) }

func flock(f *os.File, how int) error {
	err := Retry(func() error { return unix.Flock(int(f.Fd()), how) })
	if err == unix.EWOULDBLOCK {
		return ErrLocked
	}
	return os.NewSyscallError("flock", err)
}

// wait polls, because a blocked flock(2) cannot be cancelled. The pause grows from 1 to 50 ms.
func wait(ctx context.Context, f *os.File, try func(*os.File) error) error {
	pause := time.Millisecond
	for {
		err := try(f)
		if !errors.Is(err, ErrLocked) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ErrLocked, ctx.Err())
		case <-time.After(pause):
		}
		pause = min(2*pause, 50*time.Millisecond)
	}
}

// SameFile says whether path still names the open file f: a lock on a directory that was renamed or removed
// between open and flock is worth nothing.
func SameFile(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Lstat(path)
	return err == nil && os.SameFile(a, b)
}
