package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rkt/rkt/v2/core/internal/atomicfile"
	"github.com/rkt/rkt/v2/core/internal/linux"
)

// InUse is what pods need. A pod uses layers even when its image has been removed.
type InUse struct {
	Images map[string]bool // IDs
	Layers map[string]bool // directories, as Layer.Dir
}

// Collected is what a gc has removed.
type Collected struct {
	Images  []string // IDs
	Layers  []string // diffIDs
	Blobs   []string // digests
	Rubbish []string // abandoned directories of tmp and staging, and temporary files
}

// GC removes images whose last use is more than grace ago (with a negative grace none), then layers and blobs
// that no image and no pod uses, then what killed processes left behind.
//
// used is called while nobody can begin to use an image; it lists the pods. Layers are moved out of their
// places under the lock and deleted after it, so that others wait for milliseconds. When a record cannot be
// read, layers and blobs stay all: which of them it uses is unknown. The error names it; Remove takes it away.
func (s *Store) GC(ctx context.Context, used func() (InUse, error), grace time.Duration) (*Collected, error) {
	var c Collected
	trash, err := s.collect(ctx, used, grace, &c)
	if trash != nil {
		trash.remove()
	}
	if err != nil {
		return &c, fmt.Errorf("collect image garbage: %w", err)
	}
	return &c, nil
}

func (s *Store) collect(ctx context.Context, used func() (InUse, error), grace time.Duration, c *Collected) (*workDir, error) {
	hold, err := s.lockFileCtx(ctx, "hold", linux.Lock)
	if err != nil {
		return nil, err
	}
	defer hold.Close()
	inUse, err := used()
	if err != nil {
		return nil, err
	}
	trash, err := s.newWorkDir()
	if err != nil {
		return nil, err
	}
	err = s.change(func() error {
		var errs []error
		if grace >= 0 {
			errs = append(errs, s.collectImages(inUse, grace, c))
		}
		errs = append(errs, s.collectContent(inUse, trash, c), s.collectNames())
		return errors.Join(errs...)
	})
	return trash, errors.Join(err, s.collectRubbish(trash, c))
}

func (s *Store) collectImages(inUse InUse, grace time.Duration, c *Collected) error {
	ids, err := s.recordIDs()
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range ids {
		fi, err := os.Lstat(s.recordPath(id))
		if err != nil || inUse.Images[id] || time.Since(fi.ModTime()) < grace {
			continue
		}
		if err := s.removeRecord(id); err != nil {
			errs = append(errs, fmt.Errorf("image %s: %w", short(id), err))
			continue
		}
		c.Images = append(c.Images, id)
	}
	return errors.Join(errs...)
}

// collectContent moves unused layers to the trash and unlinks unused blobs.
func (s *Store) collectContent(inUse InUse, trash *workDir, c *Collected) error {
	ids, err := s.recordIDs()
	if err != nil {
		return err
	}
	layers, blobs := map[string]bool{}, map[string]bool{}
	for _, id := range ids {
		r, err := s.readRecord(id)
		if err != nil {
			return fmt.Errorf("%w (no layer is removed until it is, see rkt image rm)", err)
		}
		blobs[r.Manifest], blobs[r.Config], blobs[r.App] = true, true, true
		for _, l := range r.Layers {
			layers[l.DiffID] = true
		}
	}
	var errs []error
	all, err := s.diffIDs()
	errs = append(errs, err)
	for _, d := range all {
		dir := s.layerDir(d)
		if layers[d] || inUse.Layers[filepath.Join(dir, diffDir)] || inUse.Layers[dir] {
			continue
		}
		if err := os.Rename(dir, filepath.Join(trash.path, dashed(d))); err != nil {
			errs = append(errs, err)
			continue
		}
		c.Layers = append(c.Layers, d)
	}
	for _, alg := range []string{"sha256", "sha512"} {
		entries, err := os.ReadDir(s.path("blobs", alg))
		errs = append(errs, err)
		for _, e := range entries {
			d := alg + ":" + e.Name()
			if blobs[d] || checkDigest(d) != nil {
				continue
			}
			if err := os.Remove(s.blobPath(d)); err != nil {
				errs = append(errs, err)
				continue
			}
			c.Blobs = append(c.Blobs, d)
		}
	}
	return errors.Join(errs...)
}

// collectNames unlinks names whose image is gone.
func (s *Store) collectNames() error {
	all, err := s.allNames()
	if err != nil {
		return err
	}
	for name, id := range all {
		if _, err := os.Lstat(s.recordPath(id)); errors.Is(err, fs.ErrNotExist) {
			if err := os.Remove(s.path("names", nameFileName(name))); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// collectRubbish moves away what nobody holds a lock on. Work directories are made and locked under a shared
// hold, and this runs under the exclusive one, so an unlocked one has no owner.
func (s *Store) collectRubbish(trash *workDir, c *Collected) error {
	var errs []error
	n := 0
	take := func(path string) {
		n++
		if err := os.Rename(path, filepath.Join(trash.path, fmt.Sprintf("rubbish-%d", n))); err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
			return
		}
		c.Rubbish = append(c.Rubbish, path)
	}
	for _, dir := range []string{s.path("tmp"), s.staging} {
		entries, err := os.ReadDir(dir)
		errs = append(errs, err)
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			lockPath := path // a staging directory is its own lock
			if dir != s.staging {
				lockPath = filepath.Join(path, ownerFile)
			}
			if path != trash.path && abandoned(lockPath) {
				take(path)
			}
		}
	}
	for _, dir := range []string{s.root, s.path("images"), s.path("names"), s.path("blobs", "sha256"), s.path("blobs", "sha512")} {
		entries, err := os.ReadDir(dir)
		errs = append(errs, err)
		for _, e := range entries {
			// Written within milliseconds under a hold, so one that is there now was left.
			if atomicfile.IsTemp(e.Name()) && !strings.HasPrefix(e.Name(), ".version.") {
				take(filepath.Join(dir, e.Name()))
			}
		}
	}
	return errors.Join(errs...)
}

// abandoned says whether nobody holds the lock of a directory. The lock is not kept: the exclusive hold keeps
// everybody from taking it.
func abandoned(lockPath string) bool {
	f, err := os.OpenFile(lockPath, os.O_RDONLY|oNoFollow, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return true // killed between mkdir and the making of the lock
	}
	if err != nil {
		return !errors.Is(err, fs.ErrPermission) // a stranger's thing in our place
	}
	defer f.Close()
	return linux.TryLock(f) == nil
}
