package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"

	"github.com/rkt/rkt/v2/core/internal/atomicfile"
	"github.com/rkt/rkt/v2/core/store/unpack"
)

// Verify reads everything of an image again: blobs against their digests, layers against the journals that
// were written when they were unpacked (type, mode, owner, time, size and CRC-32C of each file). What is wrong is
// a *DamageError. A damaged layer is marked: no image with it can be used, and the next fetch unpacks it again.
//
// It finds what disks and mistakes do. Who can write to the store as root can also write the journals.
func (s *Store) Verify(ctx context.Context, id string) error {
	release, err := s.Hold()
	if err != nil {
		return err
	}
	defer release()
	r, err := s.readRecord(id)
	if err != nil {
		return fmt.Errorf("verify image: %w", err)
	}
	damage := &DamageError{Image: id}
	for _, b := range []struct{ what, digest string }{{"manifest", r.Manifest}, {"config", r.Config}, {"app description", r.App}} {
		if b.digest == "" {
			continue
		}
		if _, err := s.readBlob(b.digest); err != nil {
			damage.What = append(damage.What, fmt.Sprintf("its %s: %v", b.what, err))
		}
	}
	seen := map[string]bool{}
	for _, l := range r.Layers {
		if seen[l.DiffID] {
			continue
		}
		seen[l.DiffID] = true
		found, err := s.verifyLayer(ctx, l.DiffID)
		if err != nil {
			return fmt.Errorf("verify image %s: layer %s: %w", short(id), l.DiffID, err)
		}
		for _, f := range found {
			damage.What = append(damage.What, fmt.Sprintf("layer %s: %s", digest.Digest(l.DiffID).Encoded()[:12], f))
		}
	}
	if damage.What == nil {
		return nil
	}
	return damage
}

func (s *Store) verifyLayer(ctx context.Context, diffID string) ([]string, error) {
	m, err := s.readLayer(diffID)
	if err != nil {
		return []string{err.Error()}, nil
	}
	dir := s.layerDir(diffID)
	found, err := unpack.Verify(ctx, filepath.Join(dir, diffDir), filepath.Join(dir, journalFile), m.Journal, m.Rootless)
	if err != nil || found == nil {
		return nil, err
	}
	err = atomicfile.Write(filepath.Join(dir, damagedFile), []byte(found[0]+"\n"), 0o640)
	if errors.Is(err, os.ErrPermission) {
		err = nil // somebody who may only read has looked
	}
	return found, err
}
