package store

import (
	"context"
	"fmt"
	"os"

	"github.com/rkt/rkt/v2/core/internal/linux"
)

// Two lock files, always taken in this order:
//
//	hold   shared by whoever relies on images or layers staying: ingest, and callers between Lookup and the
//	       moment when their pod is on disk. Exclusive for GC while it decides.
//	lock   exclusive, for some milliseconds, by whoever changes records and names.
//
// Directories in tmp and staging carry a lock of their own, so that rubbish can be told from work.

// Hold keeps gc away until release is called. It waits for a gc that is deciding, which takes milliseconds.
// A process must not call GC while it holds.
func (s *Store) Hold() (release func(), err error) {
	f, err := s.lockFile("hold", linux.LockShared)
	if err != nil {
		return nil, err
	}
	return func() { f.Close() }, nil
}

func (s *Store) lockFile(name string, how func(context.Context, *os.File) error) (*os.File, error) {
	return s.lockFileCtx(context.Background(), name, how)
}

func (s *Store) lockFileCtx(ctx context.Context, name string, how func(context.Context, *os.File) error) (*os.File, error) {
	// A shared lock needs no permission to write, so that the group can list beside a gc.
	f, err := os.Open(s.path(name))
	if err == nil {
		if err = how(ctx, f); err == nil {
			return f, nil
		}
		f.Close()
	}
	return nil, fmt.Errorf("lock image store: %w", err)
}

// change runs f while nobody else changes records or names.
func (s *Store) change(f func() error) error {
	l, err := s.lockFile("lock", linux.Lock)
	if err != nil {
		return err
	}
	defer l.Close()
	return f()
}
