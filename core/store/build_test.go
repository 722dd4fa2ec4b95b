package store

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rkt/rkt/v2/core/image"
	"github.com/rkt/rkt/v2/core/store/unpack"
)

// The unpacker's child of these tests is the test binary itself; so are the processes that are killed.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case unpack.Verb:
			os.Exit(unpack.Main(os.Args[2:]))
		case "ingest-child":
			os.Exit(ingestChild(os.Args[2:]))
		}
	}
	os.Exit(m.Run())
}

type file struct {
	name, data string
	typ        byte
	link       string
}

func tarOf(files ...file) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Typeflag: f.typ, Mode: 0o755, Size: int64(len(f.data)), Linkname: f.link, ModTime: time.Unix(1e9, 0)}
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(h); err != nil {
			panic(err)
		}
		if _, err := w.Write([]byte(f.data)); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func gzipOf(b []byte) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if _, err := w.Write(b); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// builder writes a layout on disk, good unless a test bends it.
type builder struct {
	t     testing.TB
	dir   string
	index ocispec.Index
}

func newBuilder(t testing.TB) *builder {
	t.Helper()
	b := &builder{t: t, dir: filepath.Join(t.TempDir(), "layout")}
	b.must(os.MkdirAll(filepath.Join(b.dir, "blobs", "sha256"), 0o755))
	b.must(os.MkdirAll(filepath.Join(b.dir, "blobs", "sha512"), 0o755))
	b.write("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
	b.index.SchemaVersion = 2
	b.index.MediaType = ocispec.MediaTypeImageIndex
	return b
}

func (b *builder) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *builder) write(name string, data []byte) {
	b.t.Helper()
	b.must(os.WriteFile(filepath.Join(b.dir, name), data, 0o644))
}

func (b *builder) blobPath(d digest.Digest) string {
	return filepath.Join(b.dir, "blobs", d.Algorithm().String(), d.Encoded())
}

func (b *builder) blob(mediaType string, data []byte) ocispec.Descriptor {
	b.t.Helper()
	d := digest.FromBytes(data)
	b.must(os.WriteFile(b.blobPath(d), data, 0o644))
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(data))}
}

func (b *builder) json(mediaType string, v any) ocispec.Descriptor {
	b.t.Helper()
	data, err := json.Marshal(v)
	b.must(err)
	return b.blob(mediaType, data)
}

func hostPlatform() ocispec.Platform {
	return ocispec.Platform{OS: runtime.GOOS, Architecture: runtime.GOARCH}
}

// config of layers given as uncompressed archives.
func (b *builder) config(p ocispec.Platform, layers ...[]byte) ocispec.Image {
	created := time.Unix(1e9, 0).UTC()
	c := ocispec.Image{Platform: p, Created: &created, Config: ocispec.ImageConfig{Cmd: []string{"/bin/true"}}, RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{}}}
	for _, l := range layers {
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, digest.FromBytes(l))
	}
	return c
}

// manifest writes config and gzip layers and returns the manifest, not yet written.
func (b *builder) manifest(layers ...[]byte) ocispec.Manifest {
	b.t.Helper()
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: b.json(ocispec.MediaTypeImageConfig, b.config(hostPlatform(), layers...)), Layers: []ocispec.Descriptor{}}
	for _, l := range layers {
		m.Layers = append(m.Layers, b.blob(ocispec.MediaTypeImageLayerGzip, gzipOf(l)))
	}
	return m
}

// finish writes index.json with the descriptors.
func (b *builder) finish(ds ...ocispec.Descriptor) ocispec.Descriptor {
	b.t.Helper()
	b.index.Manifests = append(b.index.Manifests, ds...)
	data, err := json.Marshal(b.index)
	b.must(err)
	b.write("index.json", data)
	return ds[0]
}

// image builds the usual: a manifest in the index.
func (b *builder) image(layers ...[]byte) ocispec.Descriptor {
	b.t.Helper()
	return b.finish(b.json(ocispec.MediaTypeImageManifest, b.manifest(layers...)))
}

func openStore(t testing.TB) *Store {
	t.Helper()
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ref(t testing.TB, s string) image.Ref {
	t.Helper()
	r, err := image.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
