package store

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/rkt/rkt/v2/core/internal/linux"
)

// workDir is a directory that lives as long as the lock on the file "owner" in it. The lock is on a file, not
// on the directory, because the unpacker inherits it and must not inherit a way into the store.
type workDir struct {
	path string
	lock *os.File
}

const ownerFile = "owner"

// newWorkDir makes tmp/RANDOM. The caller holds the store's hold, so no gc sees the directory without its lock.
func (s *Store) newWorkDir() (*workDir, error) {
	path := s.path("tmp", strings.ToLower(rand.Text()[:16]))
	if err := os.Mkdir(path, 0o700); err != nil {
		return nil, fmt.Errorf("make work directory: %w", err)
	}
	w := &workDir{path: path}
	lock, err := os.OpenFile(filepath.Join(path, ownerFile), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err == nil {
		w.lock = lock
		err = linux.TryLock(lock)
	}
	if err != nil {
		w.remove()
		return nil, fmt.Errorf("make work directory: %w", err)
	}
	return w, nil
}

// remove takes the directory away with whatever is in it. What cannot be removed now is gc's.
func (w *workDir) remove() {
	_ = linux.RemoveAll(w.path)
	if w.lock != nil {
		w.lock.Close()
	}
}

// discard moves path out of its place at once and removes it then.
func (s *Store) discard(path string) error {
	w, err := s.newWorkDir()
	if err != nil {
		return err
	}
	defer w.remove()
	return os.Rename(path, filepath.Join(w.path, "old"))
}
