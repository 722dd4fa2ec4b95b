package pin

import (
	"encoding/json"
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

// RemoveUnused removes every pin that is not in inUse, copies that killed processes left half made, and what of
// the index means nothing any more. What cannot be removed is reported and does not keep the rest.
func (p *Pins) RemoveUnused(inUse map[string]bool) error {
	names, err := os.ReadDir(p.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove unused plugins: %w", err)
	}
	var errs []error
	for _, n := range names {
		path := filepath.Join(p.dir, n.Name())
		switch {
		case validDigest(n.Name()) && !inUse[n.Name()]:
			err = p.removePin(path)
		case strings.HasPrefix(n.Name(), tmpPrefix):
			err = removeTemp(path)
		default:
			err = nil
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("remove unused plugin: %w", err))
		}
	}
	p.sweepIndex()
	return errors.Join(errs...)
}

// removePin takes the pin away by one rename, so that nobody ever sees half of it, and then removes it. A pin
// that was asked for meanwhile, between the look and the rename, is put back.
func (p *Pins) removePin(path string) error {
	if !p.old(path) {
		return nil
	}
	d, err := p.temp()
	if err != nil {
		return err
	}
	defer d.Close()
	tmp := d.Name()
	defer linux.RemoveAll(tmp)
	gone := filepath.Join(tmp, filepath.Base(path))
	if err := os.Rename(path, gone); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // another process was faster
		}
		return err
	}
	if !p.old(gone) {
		if err := linux.RenameNoReplace(gone, path); !errors.Is(err, fs.ErrExist) {
			return err
		} // it has been copied anew meanwhile
	}
	return nil
}

// old says whether nobody has asked for the pin for long enough.
func (p *Pins) old(path string) bool {
	fi, err := os.Lstat(path)
	return err == nil && time.Since(fi.ModTime()) >= p.grace
}

// removeTemp removes a copy that nobody is making.
func removeTemp(path string) error {
	d, err := linux.OpenDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	if errors.Is(linux.TryLock(d), linux.ErrLocked) {
		return nil
	}
	return linux.RemoveAll(path)
}

// sweepIndex drops records of pins that are gone.
func (p *Pins) sweepIndex() {
	dir := filepath.Join(p.dir, indexDir)
	names, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, n := range names {
		path := filepath.Join(dir, n.Name())
		if atomicfile.IsTemp(n.Name()) {
			if fi, err := n.Info(); err == nil && time.Since(fi.ModTime()) > time.Hour {
				os.Remove(path)
			}
			continue
		}
		var r record
		b, err := os.ReadFile(path)
		if err == nil && json.Unmarshal(b, &r) == nil && validDigest(r.Digest) {
			if _, err := os.Lstat(filepath.Join(p.dir, r.Digest)); err == nil {
				continue
			}
		}
		os.Remove(path)
	}
}
