// Package layout walks an OCI image layout directory (image-spec, image-layout.md) that a fetcher has left, as
// mistrustfully as core does: names, kinds of file, digests and sizes, and what the image reaches.
package layout

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Descriptor is what this package reads of image-spec's.
type Descriptor struct {
	MediaType string    `json:"mediaType"`
	Digest    string    `json:"digest"`
	Size      int64     `json:"size"`
	Platform  *Platform `json:"platform,omitempty"`
}

// Platform is in Go's words.
type Platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
}

// maxDocument bounds what is parsed.
const maxDocument = 4 << 20

// Check says what is wrong with the layout in dir, whose image the fetcher says is image. Blobs in present need not be
// there.
func Check(dir string, image Descriptor, present ...string) error {
	if err := names(dir); err != nil {
		return err
	}
	var version struct{ ImageLayoutVersion string }
	if err := read(filepath.Join(dir, "oci-layout"), &version); err != nil {
		return err
	}
	if version.ImageLayoutVersion != "1.0.0" {
		return fmt.Errorf("oci-layout has the version %q", version.ImageLayoutVersion)
	}
	var index struct {
		SchemaVersion int
		Manifests     []Descriptor
	}
	if err := read(filepath.Join(dir, "index.json"), &index); err != nil {
		return err
	}
	if index.SchemaVersion != 2 {
		return fmt.Errorf("index.json has schemaVersion %d, want 2", index.SchemaVersion)
	}
	if !slices.ContainsFunc(index.Manifests, func(d Descriptor) bool {
		return d.Digest == image.Digest && d.Size == image.Size && d.MediaType == image.MediaType
	}) {
		return fmt.Errorf("index.json does not list the image %s (%s, %d bytes)", image.Digest, image.MediaType, image.Size)
	}
	return reach(dir, image, present)
}

const (
	indexType      = "application/vnd.oci.image.index.v1+json"
	manifestType   = "application/vnd.oci.image.manifest.v1+json"
	dockerListType = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerType     = "application/vnd.docker.distribution.manifest.v2+json"
)

// reach follows an image to its blobs.
func reach(dir string, d Descriptor, present []string) error {
	if slices.Contains(present, d.Digest) {
		return nil
	}
	fi, err := os.Lstat(filepath.Join(dir, BlobName(d.Digest)))
	if err != nil {
		return fmt.Errorf("blob %s (%s) is missing: %w", d.Digest, d.MediaType, err)
	}
	if fi.Size() != d.Size {
		return fmt.Errorf("blob %s has %d bytes, its descriptor says %d", d.Digest, fi.Size(), d.Size)
	}
	var doc struct {
		Config    *Descriptor
		Layers    []Descriptor
		Manifests []Descriptor
	}
	switch d.MediaType {
	case indexType, dockerListType, manifestType, dockerType:
		if err := read(filepath.Join(dir, BlobName(d.Digest)), &doc); err != nil {
			return err
		}
	default:
		return nil
	}
	if d.MediaType == indexType || d.MediaType == dockerListType {
		var errs []error
		for _, m := range doc.Manifests { // the asked platform's alone is needed
			err := reach(dir, m, present)
			if err == nil {
				return nil
			}
			errs = append(errs, err)
		}
		return errors.Join(append(errs, errors.New("no manifest of the index is whole"))...)
	}
	if doc.Config == nil {
		return fmt.Errorf("manifest %s has no config", d.Digest)
	}
	for _, b := range append(doc.Layers, *doc.Config) {
		if err := reach(dir, b, present); err != nil {
			return err
		}
	}
	return nil
}

// Manifest reads the manifest of an image.
func Manifest(dir string, image Descriptor) (config Descriptor, layers []Descriptor, err error) {
	var doc struct {
		Config Descriptor
		Layers []Descriptor
	}
	err = read(filepath.Join(dir, BlobName(image.Digest)), &doc)
	return doc.Config, doc.Layers, err
}

// BlobName is a blob's path in the layout.
func BlobName(digest string) string {
	return filepath.Join("blobs", strings.Replace(digest, ":", "/", 1))
}

// names looks at every file: its name, its kind, and a blob's digest.
func names(dir string) error {
	blob := regexp.MustCompile(`^blobs/(sha256/[0-9a-f]{64}|sha512/[0-9a-f]{128})$`)
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			if rel != "." && rel != "blobs" && rel != "blobs/sha256" && rel != "blobs/sha512" {
				return fmt.Errorf("the layout holds a directory %s", rel)
			}
			return nil
		case !d.Type().IsRegular():
			return fmt.Errorf("%s in the layout is no regular file (%v)", rel, d.Type())
		case rel == "oci-layout", rel == "index.json", strings.HasPrefix(rel, "blobs/") && strings.HasSuffix(rel, ".partial"):
			return nil
		case !blob.MatchString(rel):
			return fmt.Errorf("the layout holds %s, which is no part of one", rel)
		}
		return digest(path, filepath.Base(filepath.Dir(rel)), filepath.Base(rel))
	})
}

func digest(path, alg, want string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var h hash.Hash = sha256.New()
	if alg == "sha512" {
		h = sha512.New()
	}
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		return fmt.Errorf("the bytes of blob %s:%s have the digest %s", alg, want, got)
	}
	return nil
}

func read(path string, v any) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxDocument+1))
	if err != nil {
		return err
	}
	if len(b) > maxDocument {
		return fmt.Errorf("%s has more than %d bytes", path, maxDocument)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	return nil
}

// Blobs are the names of the complete blobs, sorted.
func Blobs(dir string) ([]string, error) {
	all, err := filepath.Glob(filepath.Join(dir, "blobs/*/*"))
	var out []string
	for _, path := range all {
		if !strings.HasSuffix(path, ".partial") {
			out = append(out, filepath.Base(path))
		}
	}
	return out, err
}

// Indexed says whether the layout is visible: index.json is there.
func Indexed(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, "index.json"))
	return err == nil
}
