package source

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"

	"github.com/rkt/rkt/v2/sdk/conformance/internal/layout"
)

const (
	indexType    = "application/vnd.oci.image.index.v1+json"
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar"
)

// Blob is bytes that need not be in memory.
type Blob struct {
	Size int64
	At   io.ReaderAt
}

// Image is an image of this machine's architecture.
type Image struct {
	Manifest layout.Descriptor
	Config   layout.Descriptor
	Layers   []layout.Descriptor
	Blobs    map[string]Blob // by digest
}

// NewImage makes an image with a layer of random bytes for each size.
func NewImage(r *rand.Rand, sizes ...int64) (*Image, error) {
	img := &Image{Blobs: map[string]Blob{}}
	for _, size := range sizes {
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		layer, err := tarOf(size)
		if err != nil {
			return nil, err
		}
		img.layer(io.NewSectionReader(&spliced{head: layer, body: bytes.NewReader(b), size: size}, 0, tarSize(layer, size)))
	}
	return img, img.finish(runtime.GOARCH)
}

// NewSparse makes an image with one layer of zeros, which takes no memory here.
func NewSparse(size int64) (*Image, error) {
	img := &Image{Blobs: map[string]Blob{}}
	head, err := tarOf(size)
	if err != nil {
		return nil, err
	}
	img.layer(io.NewSectionReader(&spliced{head: head, body: zeros{}, size: size}, 0, tarSize(head, size)))
	return img, img.finish(runtime.GOARCH)
}

// tarOf is the header of a file of that size.
func tarOf(size int64) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "data", Mode: 0o644, Size: size, Format: tar.FormatPAX}); err != nil {
		return nil, fmt.Errorf("make layer: %w", err)
	}
	return b.Bytes(), nil
}

// tarSize is the whole: header, data up to a block, two empty blocks.
func tarSize(head []byte, size int64) int64 { return int64(len(head)) + (size+511)/512*512 + 1024 }

type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) { clear(p); return len(p), nil }

// spliced is head, size bytes of body, and zeros without end.
type spliced struct {
	head []byte
	body io.ReaderAt
	size int64
}

func (s *spliced) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	n := 0
	if off < int64(len(s.head)) {
		n = copy(p, s.head[off:])
	}
	for n < len(p) {
		at := off + int64(n) - int64(len(s.head))
		if at >= s.size {
			return len(p), nil
		}
		m, err := s.body.ReadAt(p[n:min(len(p), n+int(min(s.size-at, int64(len(p)))))], at)
		n += m
		if err != nil && err != io.EOF {
			return n, err
		}
	}
	return n, nil
}

func (img *Image) layer(r *io.SectionReader) {
	h := sha256.New()
	_, _ = io.Copy(h, io.NewSectionReader(r, 0, r.Size())) // memory does not fail
	d := layout.Descriptor{MediaType: layerType, Digest: "sha256:" + hex.EncodeToString(h.Sum(nil)), Size: r.Size()}
	img.Layers = append(img.Layers, d)
	img.Blobs[d.Digest] = Blob{d.Size, r}
}

// Add makes a blob of bytes.
func (img *Image) Add(mediaType string, b []byte) layout.Descriptor {
	sum := sha256.Sum256(b)
	d := layout.Descriptor{MediaType: mediaType, Digest: "sha256:" + hex.EncodeToString(sum[:]), Size: int64(len(b))}
	img.Blobs[d.Digest] = Blob{d.Size, bytes.NewReader(b)}
	return d
}

func (img *Image) document(mediaType string, v any) (layout.Descriptor, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return layout.Descriptor{}, err
	}
	return img.Add(mediaType, b), nil
}

// finish makes config and manifest. The layers are not compressed, so their digests are the diff IDs.
func (img *Image) finish(arch string) error {
	diffs := []string{}
	for _, l := range img.Layers {
		diffs = append(diffs, l.Digest)
	}
	var err error
	img.Config, err = img.document(configType, map[string]any{
		"os": "linux", "architecture": arch, "config": map[string]any{"Cmd": []string{"/data"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffs},
	})
	if err != nil {
		return err
	}
	img.Manifest, err = img.document(manifestType, map[string]any{
		"schemaVersion": 2, "mediaType": manifestType, "config": img.Config, "layers": img.Layers,
	})
	return err
}

// Index makes an index of this machine's image and one of another architecture, whose layer is in no other place.
func (img *Image) Index(r *rand.Rand) (index, other layout.Descriptor, err error) {
	foreign := &Image{Blobs: img.Blobs}
	b := make([]byte, 2000)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	other = foreign.Add(layerType, b)
	foreign.Layers = []layout.Descriptor{other}
	arch := "arm64"
	if runtime.GOARCH == arch {
		arch = "amd64"
	}
	if err := foreign.finish(arch); err != nil {
		return index, other, err
	}
	mine, theirs := img.Manifest, foreign.Manifest
	mine.Platform = &layout.Platform{OS: "linux", Architecture: runtime.GOARCH}
	theirs.Platform = &layout.Platform{OS: "linux", Architecture: arch}
	index, err = img.document(indexType, map[string]any{
		"schemaVersion": 2, "mediaType": indexType, "manifests": []layout.Descriptor{theirs, mine},
	})
	return index, other, err
}
