package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/core/image"
	"github.com/rkt/rkt/v2/proto/ociapp"
)

// Image is one stored image.
type Image struct {
	ID       string   // "sha256-..." or "sha512-..."
	Manifest string   // digest of the OCI manifest
	Names    []string // normal forms, sorted; may be empty
	Config   ocispec.Image
	App      *ociapp.App // what only an ACI says, or nil
	// Layers are the directories for an overlay, lowest first. They are fewer than the config's diff_ids when a
	// layer comes twice (overlayfs takes a directory once, and the upper place is the one that counts) or when
	// one hides all that is below it.
	Layers      []Layer
	Size        int64     // of the files of its layers, shared ones counted
	Created     time.Time // as the image says; zero when it does not
	Imported    time.Time
	LastUsed    time.Time
	Annotations map[string]string // of the manifest; may hold anything, print through image.Printable

	rec *record
}

// Layer is one unpacked layer.
type Layer struct {
	DiffID string
	Dir    string // absolute
	Size   int64
}

// load reads an image. layers says whether they must be there: to use it yes, to list it no.
func (s *Store) load(id string, names []string, layers bool) (*Image, error) {
	r, err := s.readRecord(id)
	if err != nil {
		return nil, err
	}
	img := &Image{ID: id, Manifest: r.Manifest, Names: names, Size: r.Size, Imported: r.Imported,
		Annotations: r.Annotations, rec: r}
	var damage []string
	if b, err := s.readBlob(r.Config); err != nil {
		damage = append(damage, "its config: "+err.Error())
	} else if err := json.Unmarshal(b, &img.Config); err != nil {
		damage = append(damage, "its config: "+err.Error())
	} else if img.Config.Created != nil {
		img.Created = *img.Config.Created
	}
	if r.App != "" {
		img.App = &ociapp.App{}
		if b, err := s.readBlob(r.App); err != nil {
			damage = append(damage, "its app description: "+err.Error())
		} else if err := json.Unmarshal(b, img.App); err != nil {
			damage = append(damage, "its app description: "+err.Error())
		}
	}
	img.Layers = s.overlay(r)
	if layers {
		for _, l := range r.Layers {
			if err := s.checkLayer(l.DiffID); err != nil {
				damage = append(damage, "layer "+l.DiffID+": "+err.Error())
			}
		}
	}
	if fi, err := os.Stat(s.recordPath(id)); err == nil {
		img.LastUsed = fi.ModTime()
	}
	if damage != nil {
		return nil, &DamageError{Image: id, What: damage}
	}
	return img, nil
}

// overlay picks the directories that make up the image's root.
func (s *Store) overlay(r *record) []Layer {
	var out []Layer
	seen := map[string]bool{}
	for _, l := range slices.Backward(r.Layers) {
		if !seen[l.DiffID] {
			seen[l.DiffID] = true
			out = append(out, Layer{DiffID: l.DiffID, Dir: filepath.Join(s.layerDir(l.DiffID), "diff"), Size: l.Size})
		}
		if l.OpaqueRoot {
			break // overlayfs does not ask the root of a layer whether it is opaque
		}
	}
	slices.Reverse(out)
	return out
}

// readBlob reads a manifest, a config or an app description and digests it again.
func (s *Store) readBlob(d string) ([]byte, error) {
	b, err := os.ReadFile(s.blobPath(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("blob %s is gone", d)
	}
	if err != nil {
		return nil, err
	}
	if got := digest.Digest(d).Algorithm().FromBytes(b); got != digest.Digest(d) {
		return nil, fmt.Errorf("blob %s has changed: its digest is %s now", d, got)
	}
	return b, nil
}

// ReadManifest returns the bytes of the OCI manifest.
func (s *Store) ReadManifest(img *Image) ([]byte, error) {
	b, err := s.readBlob(img.Manifest)
	if err != nil {
		return nil, &DamageError{Image: img.ID, What: []string{"its manifest: " + err.Error()}}
	}
	return b, nil
}

// Images returns all images, newest import first. Records that cannot be read are reported beside the others,
// joined into one error, and hide none.
func (s *Store) Images() ([]*Image, error) {
	ids, err := s.recordIDs()
	if err != nil {
		return nil, err
	}
	names, err := s.namesOf()
	if err != nil {
		return nil, err
	}
	var out []*Image
	var bad []error
	for _, id := range ids {
		img, err := s.load(id, names[id], false)
		switch {
		case err == nil:
			out = append(out, img)
		case errors.Is(err, ErrNotFound): // removed meanwhile
		default:
			bad = append(bad, err)
		}
	}
	slices.SortStableFunc(out, func(a, b *Image) int { return b.Imported.Compare(a.Imported) })
	return out, errors.Join(bad...)
}

// Lookup finds the image that ref means: by name or by ID prefix. A bare name is tried as what
// image.DefaultSearch says; with another order, call Lookup for each of ref.Candidates. The image is checked as
// far as that is cheap; ErrDamaged says what is missing.
//
// Found by a name, the image's Names are that one alone: reading all of them is not for the way to a start.
// Call it under Hold when the image is to be used.
func (s *Store) Lookup(ref image.Ref) (*Image, error) {
	var id string
	var names []string
	var err error
	if ref.Scheme == image.ID {
		var all map[string][]string
		if id, err = s.lookupID(ref.Rest); err == nil {
			all, err = s.namesOf()
			names = all[id]
		}
	} else {
		var name string
		id, name, err = s.lookupName(ref)
		names = []string{name}
	}
	if err != nil {
		return nil, err
	}
	img, err := s.load(id, names, true)
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", ref, err)
	}
	return img, nil
}

func (s *Store) lookupID(prefix string) (string, error) {
	ids, err := s.recordIDs()
	if err != nil {
		return "", err
	}
	var fit []string
	for _, id := range ids {
		if strings.HasPrefix(id, prefix) {
			fit = append(fit, id)
		}
	}
	switch len(fit) {
	case 0:
		return "", fmt.Errorf("%w: no image ID begins with %s", ErrNotFound, prefix)
	case 1:
		return fit[0], nil
	}
	for i := range fit {
		fit[i] = short(fit[i])
		if len(prefix) >= len(fit[i]) {
			fit[i] = prefix + "..."
		}
	}
	return "", fmt.Errorf("%w: %s begins %d of them: %s; give more digits", ErrAmbiguous, prefix, len(fit), strings.Join(fit, ", "))
}

func (s *Store) lookupName(ref image.Ref) (id, name string, err error) {
	tried := []string{}
	for _, c := range ref.Candidates(nil) {
		name := c.String()
		id, err := s.readName(name)
		if errors.Is(err, fs.ErrNotExist) && c.Scheme == image.ACI {
			id, name, err = s.lookupACI(c)
		}
		if err == nil {
			// A name whose image is gone (a crash between the two unlinks of Remove) means nothing.
			if _, err := os.Lstat(s.recordPath(id)); err == nil {
				return id, name, nil
			}
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", "", err
		}
		tried = append(tried, c.String())
	}
	return "", "", fmt.Errorf("%w in the store: %s", ErrNotFound, strings.Join(tried, ", "))
}

// lookupACI finds an image of the name with all labels asked for: the newest import of several (IMG-04).
func (s *Store) lookupACI(ref image.Ref) (id, name string, err error) {
	want, err := image.ParseACI(ref.Rest)
	if err != nil {
		return "", "", err
	}
	all, err := s.allNames()
	if err != nil {
		return "", "", err
	}
	var best *Image
	var bestName string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		id := all[name]
		rest, ok := strings.CutPrefix(name, image.ACI+"://")
		if !ok {
			continue
		}
		have, err := image.ParseACI(rest)
		if err != nil || have.Name != want.Name {
			continue
		}
		img, err := s.load(id, nil, false)
		if err != nil {
			continue
		}
		labels := have.Labels
		if img.App != nil {
			for k, v := range img.App.Labels {
				if _, said := labels[k]; !said {
					labels[k] = v
				}
			}
		}
		if want.Match(have.Name, labels) && (best == nil || img.Imported.After(best.Imported)) {
			best, bestName = img, name
		}
	}
	if best == nil {
		return "", "", fs.ErrNotExist
	}
	return best.ID, bestName, nil
}

// Touch notes that the image is used now. It costs one system call and is not synced: after a power loss an
// image may look older than it is, by what the disk had not written yet.
func (s *Store) Touch(id string) error {
	if !image.ValidID(id) {
		return fmt.Errorf("%w: %.140q is no image ID", ErrNotFound, id)
	}
	now := []unix.Timespec{{Nsec: unix.UTIME_NOW}, {Nsec: unix.UTIME_NOW}}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, s.recordPath(id), now, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("note use of image %s: %w", short(id), err)
	}
	return nil
}
