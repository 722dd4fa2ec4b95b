package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/rkt/rkt/v2/core/image"
	"github.com/rkt/rkt/v2/core/internal/atomicfile"
)

const recordSchema = 1

// record is images/ID.json. It never changes, but may be replaced whole by another ingest of the same ID.
type record struct {
	Schema      int               `json:"schema"`
	ID          string            `json:"id"`
	Manifest    string            `json:"manifest"` // digest
	MediaType   string            `json:"mediaType"`
	Config      string            `json:"config"`        // digest
	App         string            `json:"app,omitempty"` // digest of the ociapp blob
	Layers      []recordLayer     `json:"layers"`        // lowest first, one per diff_id of the config
	Size        int64             `json:"size"`          // of the files of all layers
	Imported    time.Time         `json:"imported"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type recordLayer struct {
	DiffID     string `json:"diffID"`
	Blob       string `json:"blob"` // digest of the compressed layer
	Size       int64  `json:"size"`
	OpaqueRoot bool   `json:"opaqueRoot,omitempty"` // it hides every layer below it
}

func (s *Store) recordPath(id string) string { return s.path("images", id+".json") }

func (s *Store) readRecord(id string) (*record, error) {
	if !image.ValidID(id) {
		return nil, fmt.Errorf("%w: %.140q is no image ID", ErrNotFound, id)
	}
	b, err := os.ReadFile(s.recordPath(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, short(id))
	}
	if err != nil {
		return nil, err
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, &DamageError{Image: id, What: []string{"its record cannot be read: " + err.Error()}}
	}
	if err := r.check(id); err != nil {
		return nil, &DamageError{Image: id, What: []string{"its record: " + err.Error()}}
	}
	return &r, nil
}

// check keeps a damaged record from becoming a path.
func (r *record) check(id string) error {
	if r.Schema != recordSchema {
		return fmt.Errorf("schema is %d, this rkt reads %d", r.Schema, recordSchema)
	}
	if r.ID != id {
		return fmt.Errorf("it says that it is %.140q", r.ID)
	}
	digests := []string{r.Manifest, r.Config}
	if r.App != "" {
		digests = append(digests, r.App)
	}
	for _, l := range r.Layers {
		digests = append(digests, l.DiffID, l.Blob)
	}
	for _, d := range digests {
		if err := checkDigest(d); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) writeRecord(r *record) error {
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return atomicfile.Write(s.recordPath(r.ID), append(b, '\n'), 0o640)
}

// recordIDs lists the IDs that have a record file, readable or not.
func (s *Store) recordIDs() ([]string, error) {
	entries, err := os.ReadDir(s.path("images"))
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	var ids []string
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), ".json")
		if ok && image.ValidID(id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// checkDigest takes what rkt can compute and nothing else.
func checkDigest(d string) error {
	dg := digest.Digest(d)
	if err := dg.Validate(); err != nil {
		return fmt.Errorf("digest %.140q: %w", d, err)
	}
	if a := dg.Algorithm(); a != digest.SHA256 && a != digest.SHA512 {
		return fmt.Errorf("digest %.140q: rkt knows sha256 and sha512", d)
	}
	return nil
}
