// Package layout writes OCI image layouts (image-spec, image-layout.md) for the demo and the benchmarks, from
// files of this machine. The end-to-end tests use images of real builders instead.
package layout

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Writer collects the blobs of one image.
type Writer struct {
	dir      string
	Config   ocispec.ImageConfig
	layers   []ocispec.Descriptor
	diffIDs  []digest.Digest
	Manifest ocispec.Descriptor // set by Close
}

// New begins a layout in dir, which need not exist.
func New(dir string) (*Writer, error) {
	if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755); err != nil {
		return nil, err
	}
	return &Writer{dir: dir}, nil
}

// Layer adds one gzip layer with what fill writes.
func (w *Writer) Layer(fill func(*tar.Writer) error) error {
	var buf bytes.Buffer
	diff := digest.SHA256.Digester()
	gz := gzip.NewWriter(&buf)
	tw := tar.NewWriter(io.MultiWriter(gz, diff.Hash()))
	if err := fill(tw); err != nil {
		return err
	}
	if err := tw.Close(); err != nil {
		return err
	}
	if err := gz.Close(); err != nil {
		return err
	}
	d, err := w.blob(ocispec.MediaTypeImageLayerGzip, buf.Bytes())
	if err != nil {
		return err
	}
	w.layers, w.diffIDs = append(w.layers, d), append(w.diffIDs, diff.Digest())
	return nil
}

func (w *Writer) blob(mediaType string, b []byte) (ocispec.Descriptor, error) {
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
	return d, os.WriteFile(filepath.Join(w.dir, "blobs", "sha256", d.Digest.Encoded()), b, 0o644)
}

func (w *Writer) json(mediaType string, v any) (ocispec.Descriptor, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return w.blob(mediaType, b)
}

// Close writes config, manifest and index under a tag.
func (w *Writer) Close(tag string) error {
	now := time.Now().UTC()
	config, err := w.json(ocispec.MediaTypeImageConfig, ocispec.Image{
		Created:  &now,
		Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH},
		Config:   w.Config,
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: w.diffIDs},
	})
	if err != nil {
		return err
	}
	w.Manifest, err = w.json(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: w.layers,
	})
	if err != nil {
		return err
	}
	tagged := w.Manifest
	tagged.Annotations = map[string]string{ocispec.AnnotationRefName: tag}
	index, err := json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{tagged},
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(w.dir, "index.json"), index, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(w.dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644)
}

// Busybox fills a layer with a static busybox and the directories that programs expect.
func Busybox(path string, applets []string) func(*tar.Writer) error {
	return func(tw *tar.Writer) error {
		b, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("read a static busybox: %w", err)
		}
		for _, d := range []string{"bin", "etc", "root", "home", "var", "dev", "proc", "sys"} {
			if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: d + "/", Mode: 0o755}); err != nil {
				return err
			}
		}
		if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}); err != nil {
			return err
		}
		if err := File(tw, "bin/busybox", 0o755, b); err != nil {
			return err
		}
		for _, a := range applets {
			if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + a, Linkname: "busybox"}); err != nil {
				return err
			}
		}
		return File(tw, "etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/bin/sh\n"))
	}
}

// File adds one regular file.
func File(tw *tar.Writer, name string, mode int64, b []byte) error {
	if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(b))}); err != nil {
		return err
	}
	_, err := tw.Write(b)
	return err
}
