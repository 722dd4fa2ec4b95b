package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rkt/rkt/v2/proto/ociapp"
)

// Bounds on documents. Registries refuse manifests of more than 4 MiB.
const (
	maxDocument = 4 << 20
	maxLayers   = 128
	maxDepth    = 3 // index in index in index
)

// Docker's media types (image manifest v2, schema 2), beside OCI's.
const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerConfig   = "application/vnd.docker.container.image.v1+json"
	dockerLayer    = "application/vnd.docker.image.rootfs.diff.tar"
	dockerForeign  = "application/vnd.docker.image.rootfs.foreign.diff.tar"
	dockerSchema1  = "application/vnd.docker.distribution.manifest.v1"
)

func isIndex(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == dockerIndex
}

func isManifest(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageManifest || mediaType == dockerManifest
}

// checkLayerType takes layers that are tar archives, compressed or not. Which compression it is, the bytes say.
func checkLayerType(mediaType string) error {
	base, suffix, _ := strings.Cut(mediaType, "+")
	base, gz := strings.CutSuffix(base, ".gzip") // Docker's spelling
	base, zs := strings.CutSuffix(base, ".zstd")
	switch {
	case strings.Contains(mediaType, "encrypted"):
		return fmt.Errorf("it is encrypted (%s), which rkt cannot read", printable(mediaType))
	case strings.HasPrefix(mediaType, "application/vnd.oci.image.layer.nondistributable"), strings.HasPrefix(mediaType, dockerForeign):
		return fmt.Errorf("it is a foreign layer (%s), whose bytes come from somewhere else than the image; rkt does not follow such URLs", printable(mediaType))
	case base == ocispec.MediaTypeImageLayer && !gz && !zs && (suffix == "" || suffix == "gzip" || suffix == "zstd"),
		base == dockerLayer && (suffix == "" || suffix == "gzip" || suffix == "zstd"):
		return nil
	}
	return fmt.Errorf("rkt takes tar, tar+gzip and tar+zstd, not %s", printable(mediaType))
}

// decodeDocument decodes a JSON object of the image-spec. A key that comes twice, or in two spellings, is
// refused: two readers could take it for two documents.
func decodeDocument(b []byte, v any) (keys map[string]bool, err error) {
	keys, err = topKeys(b)
	if err != nil {
		return nil, err
	}
	return keys, json.Unmarshal(b, v)
}

func topKeys(b []byte) (map[string]bool, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("it is not a JSON object")
	}
	keys := map[string]bool{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, err
		}
		key, _ := t.(string)
		for k := range keys {
			if strings.EqualFold(k, key) {
				return nil, fmt.Errorf("the key %s comes twice", printable(key))
			}
		}
		if len(keys) == 64 {
			return nil, errors.New("it has more than 64 keys")
		}
		keys[key] = true
		var skip json.RawMessage
		if err := dec.Decode(&skip); err != nil {
			return nil, err
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("something follows the JSON object")
	}
	// encoding/json takes any spelling; the specification one.
	for k := range keys {
		if l := strings.ToLower(k); l != k && (l == "manifests" || l == "layers" || l == "config" || l == "schemaversion" ||
			l == "rootfs" || l == "os" || l == "architecture") && k != "schemaVersion" {
			return nil, fmt.Errorf("the key %s is misspelt", printable(k))
		}
	}
	return keys, nil
}

// parseIndex and parseManifest refuse a document that is both (CVE-2021-41190): what it is must not depend on
// who reads it.
func parseIndex(b []byte, mediaType string) (*ocispec.Index, error) {
	var x ocispec.Index
	keys, err := decodeDocument(b, &x)
	if err != nil {
		return nil, err
	}
	if err := checkShape(keys, x.SchemaVersion, x.MediaType, mediaType); err != nil {
		return nil, err
	}
	if !keys["manifests"] || keys["layers"] || keys["config"] || keys["fsLayers"] {
		return nil, errors.New("it says that it is an index, but has the keys of a manifest")
	}
	for _, m := range x.Manifests {
		if err := checkDescriptor(m); err != nil {
			return nil, err
		}
	}
	return &x, nil
}

func parseManifest(b []byte, mediaType string) (*ocispec.Manifest, error) {
	var m ocispec.Manifest
	keys, err := decodeDocument(b, &m)
	if err != nil {
		return nil, err
	}
	if err := checkShape(keys, m.SchemaVersion, m.MediaType, mediaType); err != nil {
		return nil, err
	}
	if !keys["config"] || !keys["layers"] || keys["manifests"] || keys["fsLayers"] {
		return nil, errors.New("it says that it is a manifest, but has the keys of something else")
	}
	if t := m.Config.MediaType; t != ocispec.MediaTypeImageConfig && t != dockerConfig {
		return nil, fmt.Errorf("it is no container image: its config is of type %s", printable(t))
	}
	if err := checkDescriptor(m.Config); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if len(m.Layers) > maxLayers {
		return nil, fmt.Errorf("it has %d layers, %d is the limit", len(m.Layers), maxLayers)
	}
	for i, l := range m.Layers {
		err := checkDescriptor(l)
		if err == nil {
			err = checkLayerType(l.MediaType)
		}
		if err != nil {
			return nil, fmt.Errorf("layer %d: %w", i, err)
		}
	}
	return &m, nil
}

func checkShape(keys map[string]bool, schema int, inside, outside string) error {
	if schema != 2 {
		return fmt.Errorf("its schemaVersion is %d, rkt reads 2", schema)
	}
	if inside != "" && outside != "" && inside != outside {
		return fmt.Errorf("its mediaType is %s, its descriptor says %s", printable(inside), printable(outside))
	}
	return nil
}

func checkDescriptor(d ocispec.Descriptor) error {
	if err := checkDigest(string(d.Digest)); err != nil {
		return err
	}
	if d.Size < 0 {
		return fmt.Errorf("blob %s has a size of %d", d.Digest, d.Size)
	}
	return nil
}

func parseConfig(b []byte, layers int) (*ocispec.Image, error) {
	var c ocispec.Image
	if _, err := decodeDocument(b, &c); err != nil {
		return nil, err
	}
	if c.RootFS.Type != "layers" {
		return nil, fmt.Errorf("its rootfs.type is %s, not layers", printable(c.RootFS.Type))
	}
	if len(c.RootFS.DiffIDs) != layers {
		return nil, fmt.Errorf("it has %d diff_ids for %d layers", len(c.RootFS.DiffIDs), layers)
	}
	for _, d := range c.RootFS.DiffIDs {
		if err := checkDigest(string(d)); err != nil {
			return nil, fmt.Errorf("diff_ids: %w", err)
		}
	}
	return &c, nil
}

func parseApp(b []byte) (*ociapp.App, error) {
	var a ociapp.App
	if _, err := decodeDocument(b, &a); err != nil {
		return nil, err
	}
	if a.Schema != 1 {
		return nil, fmt.Errorf("its schema is %d, this rkt reads 1", a.Schema)
	}
	return &a, nil
}
