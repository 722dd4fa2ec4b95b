package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rkt/rkt/v2/core/internal/atomicfile"
)

// Names in a layer's directory.
const (
	layerFile   = "layer.json"
	journalFile = "journal"
	diffDir     = "diff"
	damagedFile = "damaged" // made by Verify: not to be used, and unpacked again by the next ingest
)

// layerMeta is layer.json. It does not change after the layer has its name.
type layerMeta struct {
	Schema     int       `json:"schema"`
	DiffID     string    `json:"diffID"`
	Blobs      []string  `json:"blobs"`   // digests of compressed forms that were seen to be this layer: one, so far
	Size       int64     `json:"size"`    // content of its files
	Entries    int64     `json:"entries"` // of the archive
	Journal    string    `json:"journal"` // digest of the journal, what Verify compares with
	OpaqueRoot bool      `json:"opaqueRoot,omitempty"`
	Rootless   bool      `json:"rootless,omitempty"` // unpacked by a user: owners and devices are not the image's
	Skipped    []string  `json:"skipped,omitempty"`  // what could not be set, first few
	Created    time.Time `json:"created"`
}

func (s *Store) readLayer(diffID string) (*layerMeta, error) {
	b, err := os.ReadFile(filepath.Join(s.layerDir(diffID), layerFile))
	if err != nil {
		return nil, err
	}
	var m layerMeta
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("read %s: %w", layerFile, err)
	}
	if m.Schema != recordSchema || m.DiffID != diffID {
		return nil, fmt.Errorf("read %s: schema %d, diffID %.140q", layerFile, m.Schema, m.DiffID)
	}
	return &m, nil
}

// checkLayer says whether a layer can be used, as far as that can be known without reading it all.
func (s *Store) checkLayer(diffID string) error {
	dir := s.layerDir(diffID)
	if _, err := os.Lstat(filepath.Join(dir, damagedFile)); err == nil {
		return errors.New("a verification has found it damaged")
	}
	if _, err := s.readLayer(diffID); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return errors.New("it is gone")
		}
		return err
	}
	if fi, err := os.Lstat(filepath.Join(dir, diffDir)); err != nil || !fi.IsDir() {
		return errors.New("its directory is gone")
	}
	return nil
}

func writeLayer(dir string, m *layerMeta) error {
	b, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, layerFile), append(b, '\n'), 0o640)
}

// diffIDs lists the directories of layers, usable or not.
func (s *Store) diffIDs() ([]string, error) {
	entries, err := os.ReadDir(s.path("layers"))
	if err != nil {
		return nil, fmt.Errorf("list layers: %w", err)
	}
	var out []string
	for _, e := range entries {
		if d := strings.Replace(e.Name(), "-", ":", 1); checkDigest(d) == nil {
			out = append(out, d)
		}
	}
	return out, nil
}

// layerBlobs maps the digests of compressed layers to the usable layers that they are.
func (s *Store) layerBlobs() (map[string]string, error) {
	ids, err := s.diffIDs()
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, id := range ids {
		if s.checkLayer(id) != nil {
			continue
		}
		m, err := s.readLayer(id)
		if err != nil {
			continue
		}
		for _, b := range m.Blobs {
			out[b] = id
		}
	}
	return out, nil
}

// KnownBlobs lists the digests of compressed layers that an image need not deliver again, sorted: what a
// fetcher is told as present_digests. A gc may take one away before the ingest; that is ErrBlobMissing then.
func (s *Store) KnownBlobs() ([]string, error) {
	m, err := s.layerBlobs()
	if err != nil {
		return nil, err
	}
	out := make([]string, 0, len(m))
	for b := range m {
		out = append(out, b)
	}
	slices.Sort(out)
	return out, nil
}

// HasBlob says whether the compressed layer with this digest need not be delivered.
func (s *Store) HasBlob(digest string) bool {
	m, err := s.layerBlobs()
	return err == nil && m[digest] != ""
}
