package fetch

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// built is an image in memory: documents and blobs by digest.
type built struct {
	blobs    map[string][]byte
	manifest v1.Descriptor
	m        v1.Manifest
	diffs    [][]byte // uncompressed layers
}

// layerTar makes a layer with one file of size random bytes.
func layerTar(t *testing.T, seed uint64, size int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	data := make([]byte, size)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	r.Read(data)
	w.WriteHeader(&tar.Header{Name: "file" + string(rune('a'+seed%26)), Mode: 0o644, Size: int64(size), Typeflag: tar.TypeReg})
	w.Write(data)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func compress(t *testing.T, how string, b []byte) (string, []byte) {
	t.Helper()
	var out bytes.Buffer
	switch how {
	case "gzip":
		w := gzip.NewWriter(&out)
		w.Write(b)
		w.Close()
		return v1.MediaTypeImageLayerGzip, out.Bytes()
	case "zstd":
		w, err := zstd.NewWriter(&out)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(b)
		w.Close()
		return v1.MediaTypeImageLayerZstd, out.Bytes()
	}
	return v1.MediaTypeImageLayer, b
}

// buildImage makes an image of three layers: gzip, zstd, plain.
func buildImage(t *testing.T, p v1.Platform, seed uint64, size int, how ...string) *built {
	t.Helper()
	if how == nil {
		how = []string{"gzip", "zstd", "plain"}
	}
	img := &built{blobs: map[string][]byte{}}
	var diffIDs []digest.Digest
	for i, h := range how {
		raw := layerTar(t, seed*10+uint64(i), size+i)
		mt, b := compress(t, h, raw)
		d := describe(mt, b)
		img.blobs[string(d.Digest)] = b
		img.m.Layers = append(img.m.Layers, d)
		img.diffs = append(img.diffs, raw)
		diffIDs = append(diffIDs, digest.FromBytes(raw))
	}
	cfg := mustJSON(t, v1.Image{Platform: p, RootFS: v1.RootFS{Type: "layers", DiffIDs: diffIDs}, Config: v1.ImageConfig{Cmd: []string{"/true"}}})
	img.m.SchemaVersion, img.m.MediaType = 2, v1.MediaTypeImageManifest
	img.m.Config = describe(v1.MediaTypeImageConfig, cfg)
	img.blobs[string(img.m.Config.Digest)] = cfg
	img.seal(t)
	return img
}

// seal makes the manifest of what is in m.
func (b *built) seal(t *testing.T) {
	delete(b.blobs, string(b.manifest.Digest))
	raw := mustJSON(t, b.m)
	b.manifest = describe(b.m.MediaType, raw)
	b.blobs[string(b.manifest.Digest)] = raw
}

// index joins images to an index, and returns it as an image whose manifest it is.
func index(t *testing.T, items ...*built) *built {
	t.Helper()
	out := &built{blobs: map[string][]byte{}}
	idx := v1.Index{MediaType: v1.MediaTypeImageIndex}
	idx.SchemaVersion = 2
	for _, it := range items {
		for d, b := range it.blobs {
			out.blobs[d] = b
		}
		d := it.manifest
		if len(it.m.Layers) > 0 {
			var cfg v1.Image
			decode(t, it.blobs[string(it.m.Config.Digest)], &cfg)
			d.Platform = &cfg.Platform
		}
		idx.Manifests = append(idx.Manifests, d)
	}
	raw := mustJSON(t, idx)
	out.manifest = describe(v1.MediaTypeImageIndex, raw)
	out.blobs[string(out.manifest.Digest)] = raw
	return out
}

// writeLayout writes an OCI layout directory with images by tag.
func writeLayout(t *testing.T, dir string, tags map[string]*built) string {
	t.Helper()
	idx := v1.Index{MediaType: v1.MediaTypeImageIndex}
	idx.SchemaVersion = 2
	for tag, img := range tags {
		for d, b := range img.blobs {
			p := filepath.Join(dir, "blobs", strings.Replace(d, ":", "/", 1))
			os.MkdirAll(filepath.Dir(p), 0o755)
			if err := os.WriteFile(p, b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		d := img.manifest
		if tag != "" {
			d.Annotations = map[string]string{v1.AnnotationRefName: tag}
		}
		idx.Manifests = append(idx.Manifests, d)
	}
	os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644)
	if err := os.WriteFile(filepath.Join(dir, "index.json"), mustJSON(t, idx), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

var (
	amd64 = v1.Platform{OS: "linux", Architecture: "amd64"}
	arm64 = v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}
)

func decode(t *testing.T, b []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}

func countBlobs(t *testing.T, dir string) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "blobs/*/*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}
