package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/rkt/rkt/v2/core/image"
	"github.com/rkt/rkt/v2/core/internal/atomicfile"
)

// Remove takes an image and its names out of the store, also when its record is damaged. Its layers stay until
// GC finds that nothing uses them: a pod that runs from them goes on.
func (s *Store) Remove(id string) error {
	if !image.ValidID(id) {
		return fmt.Errorf("remove image: %w: %.140q is no image ID", ErrNotFound, id)
	}
	err := s.change(func() error {
		if _, err := os.Lstat(s.recordPath(id)); errors.Is(err, fs.ErrNotExist) {
			return ErrNotFound
		}
		return s.removeRecord(id)
	})
	if err != nil {
		return fmt.Errorf("remove image %s: %w", short(id), err)
	}
	return nil
}

// removeRecord unlinks the names first: a name without an image means nothing, an image without a name is still
// in the list. The caller is in change.
func (s *Store) removeRecord(id string) error {
	names, err := s.namesOf()
	if err != nil {
		return err
	}
	for _, name := range names[id] {
		if err := os.Remove(s.path("names", nameFileName(name))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if len(names[id]) > 0 {
		if err := atomicfile.SyncDir(s.path("names")); err != nil {
			return err
		}
	}
	return atomicfile.Remove(s.recordPath(id))
}
