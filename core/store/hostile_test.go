package store

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

// Each layout is refused by what is wrong with it, and leaves nothing visible in the store.
func TestHostileLayouts(t *testing.T) {
	manifestJSON := func(b *builder, bend func(*ocispec.Manifest)) ocispec.Descriptor {
		m := b.manifest(baseLayer)
		bend(&m)
		return b.finish(b.json(ocispec.MediaTypeImageManifest, m))
	}
	raw := func(b *builder, mediaType string, bend func(map[string]any)) ocispec.Descriptor {
		data, err := json.Marshal(b.manifest(baseLayer))
		b.must(err)
		var m map[string]any
		b.must(json.Unmarshal(data, &m))
		bend(m)
		return b.finish(b.json(mediaType, m))
	}
	config := func(b *builder, bend func(*ocispec.Image)) ocispec.Descriptor {
		return manifestJSON(b, func(m *ocispec.Manifest) {
			c := b.config(hostPlatform(), baseLayer)
			bend(&c)
			m.Config = b.json(ocispec.MediaTypeImageConfig, c)
		})
	}
	layerPath := func(b *builder) string { return b.blobPath(digest.FromBytes(gzipOf(baseLayer))) }
	swap := func(b *builder, f func(path string) error) ocispec.Descriptor {
		d := b.image(baseLayer)
		p := layerPath(b)
		b.must(os.Remove(p))
		b.must(f(p))
		return d
	}
	for name, c := range map[string]struct {
		build func(b *builder) ocispec.Descriptor
		want  string
	}{
		"digest of layer": {func(b *builder) ocispec.Descriptor {
			return swap(b, func(p string) error {
				l := gzipOf(baseLayer)
				l[4] ^= 1 // the time in gzip's header: unpacks to the same
				return os.WriteFile(p, l, 0o644)
			})
		}, "another digest than its name"},
		"size of layer": {func(b *builder) ocispec.Descriptor {
			return swap(b, func(p string) error { return os.WriteFile(p, append(gzipOf(baseLayer), 0), 0o644) })
		}, "its descriptor says"},
		"size in manifest": {func(b *builder) ocispec.Descriptor {
			return manifestJSON(b, func(m *ocispec.Manifest) { m.Layers[0].Size-- })
		}, "its descriptor says"},
		"negative size": {func(b *builder) ocispec.Descriptor {
			return manifestJSON(b, func(m *ocispec.Manifest) { m.Layers[0].Size = -1 })
		}, "has a size of -1"},
		"layer a fifo": {func(b *builder) ocispec.Descriptor {
			return swap(b, func(p string) error { return unix.Mkfifo(p, 0o666) })
		}, "not a regular file"},
		"layer a directory": {func(b *builder) ocispec.Descriptor {
			return swap(b, func(p string) error { return os.Mkdir(p, 0o755) })
		}, "not a regular file"},
		"layer a symlink": {func(b *builder) ocispec.Descriptor {
			return swap(b, func(p string) error {
				b.must(os.WriteFile(p+".real", gzipOf(baseLayer), 0o644))
				return os.Symlink(p+".real", p)
			})
		}, "symbolic links"},
		"layer missing": {func(b *builder) ocispec.Descriptor {
			return swap(b, func(p string) error { return nil })
		}, "blob missing"},
		"blobs a symlink": {func(b *builder) ocispec.Descriptor {
			d := b.image(baseLayer)
			b.must(os.Rename(filepath.Join(b.dir, "blobs"), filepath.Join(b.dir, "../elsewhere")))
			b.must(os.Symlink("../elsewhere", filepath.Join(b.dir, "blobs")))
			return d
		}, "symbolic links"},
		"layout a symlink": {func(b *builder) ocispec.Descriptor {
			d := b.image(baseLayer)
			b.must(os.Symlink(b.dir, b.dir+"-link"))
			b.dir += "-link"
			return d
		}, "open layout"},
		"index a fifo": {func(b *builder) ocispec.Descriptor {
			d := b.image(baseLayer)
			b.must(os.Remove(filepath.Join(b.dir, "index.json")))
			b.must(unix.Mkfifo(filepath.Join(b.dir, "index.json"), 0o666))
			return d
		}, "not a regular file"},
		"index too large": {func(b *builder) ocispec.Descriptor {
			d := b.image(baseLayer)
			b.write("index.json", bytes.Repeat([]byte(" "), maxDocument+1))
			return d
		}, "is the limit"},
		"no marker": {func(b *builder) ocispec.Descriptor {
			d := b.image(baseLayer)
			b.must(os.Remove(filepath.Join(b.dir, "oci-layout")))
			return d
		}, "oci-layout"},
		"marker of version 2": {func(b *builder) ocispec.Descriptor {
			b.write("oci-layout", []byte(`{"imageLayoutVersion":"2.0.0"}`))
			return b.image(baseLayer)
		}, "version"},
		"not in index": {func(b *builder) ocispec.Descriptor {
			b.image(baseLayer)
			return b.json(ocispec.MediaTypeImageManifest, b.manifest(topLayer))
		}, "does not hold the image"},
		"other size in index": {func(b *builder) ocispec.Descriptor {
			d := b.image(baseLayer)
			d.Size++
			return d
		}, "differ from what the fetcher says"},
		"manifest too large": {func(b *builder) ocispec.Descriptor {
			d := b.image(baseLayer)
			d.Size = maxDocument + 1
			b.index.Manifests = nil
			return b.finish(d)
		}, "limit for a document"},
		"foreign media type": {func(b *builder) ocispec.Descriptor {
			return b.finish(b.blob("application/vnd.appc.image\x1b[31m", []byte("x")))
		}, "neither a manifest nor an index"},
		"docker schema 1": {func(b *builder) ocispec.Descriptor {
			return b.finish(b.blob("application/vnd.docker.distribution.manifest.v1+prettyjws", []byte("{}")))
		}, "schema 1"},
		"digest algorithm": {func(b *builder) ocispec.Descriptor {
			return manifestJSON(b, func(m *ocispec.Manifest) { m.Layers[0].Digest = digest.Digest("sha384:" + strings.Repeat("ab", 48)) })
		}, "sha256 and sha512"},
		"digest a path": {func(b *builder) ocispec.Descriptor {
			return manifestJSON(b, func(m *ocispec.Manifest) { m.Layers[0].Digest = "sha256:../../../../etc/passwd" })
		}, "digest"},
		"config digest": {func(b *builder) ocispec.Descriptor {
			d := b.image(baseLayer)
			c, err := json.Marshal(b.config(hostPlatform(), baseLayer))
			b.must(err)
			p := b.blobPath(digest.FromBytes(c))
			c[len(c)-2] ^= 1
			b.must(os.WriteFile(p, c, 0o644))
			return d
		}, "another digest"},
		"diffID": {func(b *builder) ocispec.Descriptor {
			return config(b, func(c *ocispec.Image) { c.RootFS.DiffIDs[0] = digest.FromString("other") })
		}, "when unpacked, the config says"},
		"diffIDs missing": {func(b *builder) ocispec.Descriptor {
			return config(b, func(c *ocispec.Image) { c.RootFS.DiffIDs = nil })
		}, "0 diff_ids for 1 layers"},
		"diffID a path": {func(b *builder) ocispec.Descriptor {
			return config(b, func(c *ocispec.Image) { c.RootFS.DiffIDs[0] = "sha256:../../x" })
		}, "diff_ids"},
		"rootfs type": {func(b *builder) ocispec.Descriptor {
			return config(b, func(c *ocispec.Image) { c.RootFS.Type = "base\x1b" })
		}, "rootfs.type"},
		"platform of config": {func(b *builder) ocispec.Descriptor {
			return config(b, func(c *ocispec.Image) { c.Architecture = "s390x" })
		}, "the image is for linux/s390x, not for linux/"},
		"platform of index": {func(b *builder) ocispec.Descriptor {
			m := b.json(ocispec.MediaTypeImageManifest, b.manifest(baseLayer))
			m.Platform = &ocispec.Platform{OS: "linux", Architecture: "mips\x1b"}
			return b.finish(b.json(ocispec.MediaTypeImageIndex, ocispec.Index{Versioned: b.index.Versioned, Manifests: []ocispec.Descriptor{m}}))
		}, "it has no image for linux/"},
		"index names another platform": {func(b *builder) ocispec.Descriptor {
			p := hostPlatform()
			c := b.config(ocispec.Platform{OS: "linux", Architecture: "s390x"}, baseLayer)
			m := b.manifest(baseLayer)
			m.Config = b.json(ocispec.MediaTypeImageConfig, c)
			d := b.json(ocispec.MediaTypeImageManifest, m)
			d.Platform = &p
			return b.finish(b.json(ocispec.MediaTypeImageIndex, ocispec.Index{Versioned: b.index.Versioned, Manifests: []ocispec.Descriptor{d}}))
		}, "the image is for linux/s390x"},
		"nested indexes": {func(b *builder) ocispec.Descriptor {
			d := b.json(ocispec.MediaTypeImageManifest, b.manifest(baseLayer))
			for range 5 {
				d = b.json(ocispec.MediaTypeImageIndex, ocispec.Index{Versioned: b.index.Versioned, Manifests: []ocispec.Descriptor{d}})
			}
			return b.finish(d)
		}, "nested"},
		"manifest and index": {func(b *builder) ocispec.Descriptor {
			return raw(b, ocispec.MediaTypeImageManifest, func(m map[string]any) { m["manifests"] = []any{} })
		}, "keys of something else"},
		"index and manifest": {func(b *builder) ocispec.Descriptor {
			return raw(b, ocispec.MediaTypeImageIndex, func(m map[string]any) { m["manifests"] = []any{}; delete(m, "mediaType") })
		}, "keys of a manifest"},
		"manifest called index": {func(b *builder) ocispec.Descriptor {
			return raw(b, ocispec.MediaTypeImageIndex, func(m map[string]any) {})
		}, "its descriptor says"},
		"media type inside": {func(b *builder) ocispec.Descriptor {
			return raw(b, ocispec.MediaTypeImageManifest, func(m map[string]any) { m["mediaType"] = dockerManifest })
		}, "its descriptor says"},
		"key in two spellings": {func(b *builder) ocispec.Descriptor {
			return raw(b, ocispec.MediaTypeImageManifest, func(m map[string]any) { m["LAYERS"] = []any{} })
		}, "comes twice"},
		"key in another spelling": {func(b *builder) ocispec.Descriptor {
			return raw(b, ocispec.MediaTypeImageManifest, func(m map[string]any) { m["Manifests"] = []any{} })
		}, "misspelt"},
		"two documents": {func(b *builder) ocispec.Descriptor {
			data, err := json.Marshal(b.manifest(baseLayer))
			b.must(err)
			return b.finish(b.blob(ocispec.MediaTypeImageManifest, append(data, data...)))
		}, "follows the JSON object"},
		"schema version": {func(b *builder) ocispec.Descriptor {
			return manifestJSON(b, func(m *ocispec.Manifest) { m.SchemaVersion = 1 })
		}, "schemaVersion"},
		"artifact": {func(b *builder) ocispec.Descriptor {
			return manifestJSON(b, func(m *ocispec.Manifest) { m.Config.MediaType = "application/vnd.cncf.helm.config.v1+json" })
		}, "no container image"},
		"foreign layer": {func(b *builder) ocispec.Descriptor {
			return manifestJSON(b, func(m *ocispec.Manifest) { m.Layers[0].MediaType = dockerForeign + ".gzip" })
		}, "foreign layer"},
		"nondistributable layer": {func(b *builder) ocispec.Descriptor {
			return manifestJSON(b, func(m *ocispec.Manifest) {
				m.Layers[0].MediaType = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
			})
		}, "foreign layer"},
		"encrypted layer": {func(b *builder) ocispec.Descriptor {
			return manifestJSON(b, func(m *ocispec.Manifest) { m.Layers[0].MediaType += "+encrypted" })
		}, "encrypted"},
		"unknown layer": {func(b *builder) ocispec.Descriptor {
			return manifestJSON(b, func(m *ocispec.Manifest) { m.Layers[0].MediaType = "text/plain\x07" })
		}, "rkt takes tar"},
		"too many layers": {func(b *builder) ocispec.Descriptor {
			return manifestJSON(b, func(m *ocispec.Manifest) {
				for range maxLayers {
					m.Layers = append(m.Layers, m.Layers[0])
				}
			})
		}, "129 layers"},
		"hostile archive": {func(b *builder) ocispec.Descriptor {
			return b.image(tarOf(file{name: "../../evil", data: "x"}))
		}, "leaves the layer"},
		"rootfs a symlink": {func(b *builder) ocispec.Descriptor {
			return b.image(tarOf(file{name: "./", typ: tar.TypeSymlink, link: "/etc"}))
		}, "root of a layer"},
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t)
			b := newBuilder(t)
			d := c.build(b)
			_, err := s.Ingest(context.Background(), IngestRequest{LayoutDir: b.dir, Image: d, Names: []string{"docker://x"}})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want %q", err, c.want)
			}
			if strings.ContainsAny(err.Error(), "\x1b\x07") {
				t.Errorf("control character in %q", err)
			}
			if !errors.Is(err, ErrInvalidImage) && !errors.Is(err, ErrBlobMissing) && name != "layout a symlink" {
				t.Errorf("%v is no ErrInvalidImage", err)
			}
			onlySkeleton(t, s)
		})
	}
}

// What registries and tools really serve is taken.
func TestFormats(t *testing.T) {
	p := hostPlatform()
	for name, build := range map[string]func(b *builder) ocispec.Descriptor{
		"docker schema 2": func(b *builder) ocispec.Descriptor {
			m := b.manifest(baseLayer)
			m.MediaType, m.Config.MediaType, m.Layers[0].MediaType = dockerManifest, dockerConfig, dockerLayer+".gzip"
			return b.finish(b.json(dockerManifest, m))
		},
		"manifest list": func(b *builder) ocispec.Descriptor {
			other := b.json(dockerManifest, map[string]any{"schemaVersion": 2})
			other.Platform = &ocispec.Platform{OS: "linux", Architecture: "s390x"}
			b.must(os.Remove(b.blobPath(other.Digest))) // only the platform's own blobs are delivered
			m := b.manifest(baseLayer)
			m.MediaType = dockerManifest
			d := b.json(dockerManifest, m)
			d.Platform = &p
			return b.finish(b.json(dockerIndex, ocispec.Index{Versioned: b.index.Versioned, MediaType: dockerIndex, Manifests: []ocispec.Descriptor{other, d}}))
		},
		"attestations in the index": func(b *builder) ocispec.Descriptor {
			att := b.json(ocispec.MediaTypeImageManifest, map[string]any{})
			att.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"}
			d := b.json(ocispec.MediaTypeImageManifest, b.manifest(baseLayer))
			d.Platform = &p
			return b.finish(b.json(ocispec.MediaTypeImageIndex, ocispec.Index{Versioned: b.index.Versioned, Manifests: []ocispec.Descriptor{att, d}}))
		},
		"no media type inside": func(b *builder) ocispec.Descriptor {
			m := b.manifest(baseLayer)
			m.MediaType = ""
			return b.finish(b.json(ocispec.MediaTypeImageManifest, m))
		},
		"plain layer called gzip": func(b *builder) ocispec.Descriptor {
			m := b.manifest(baseLayer)
			m.Layers[0] = b.blob(ocispec.MediaTypeImageLayerGzip, baseLayer)
			return b.finish(b.json(ocispec.MediaTypeImageManifest, m))
		},
		"plain layer": func(b *builder) ocispec.Descriptor {
			m := b.manifest(baseLayer)
			m.Layers[0] = b.blob(dockerLayer, baseLayer)
			return b.finish(b.json(ocispec.MediaTypeImageManifest, m))
		},
		"sha512": func(b *builder) ocispec.Descriptor {
			m := b.manifest()
			c := b.config(p, baseLayer)
			c.RootFS.DiffIDs[0] = digest.SHA512.FromBytes(baseLayer)
			m.Config = b.json(ocispec.MediaTypeImageConfig, c)
			l := gzipOf(baseLayer)
			d := digest.SHA512.FromBytes(l)
			b.must(os.WriteFile(b.blobPath(d), l, 0o644))
			m.Layers = append(m.Layers, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: d, Size: int64(len(l))})
			return b.finish(b.json(ocispec.MediaTypeImageManifest, m))
		},
		"no platform in config": func(b *builder) ocispec.Descriptor {
			m := b.manifest(baseLayer)
			m.Config = b.json(ocispec.MediaTypeImageConfig, b.config(ocispec.Platform{}, baseLayer))
			return b.finish(b.json(ocispec.MediaTypeImageManifest, m))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t)
			b := newBuilder(t)
			img := ingest(t, s, b, build(b), "docker://x")
			if data, err := os.ReadFile(filepath.Join(img.Layers[0].Dir, "etc/os")); string(data) != "one" {
				t.Errorf("%q, %v", data, err)
			}
			if err := s.Verify(context.Background(), img.ID); err != nil {
				t.Error(err)
			}
		})
	}
}

// A config that lies about a blob must not teach the store that the blob is another layer.
func TestBlobNotPoisoned(t *testing.T) {
	s := openStore(t)
	b := newBuilder(t)
	ingest(t, s, b, b.image(baseLayer))
	liar := newBuilder(t)
	m := liar.manifest(topLayer)
	m.Config = liar.json(ocispec.MediaTypeImageConfig, liar.config(hostPlatform(), baseLayer))
	ingest(t, s, liar, liar.finish(liar.json(ocispec.MediaTypeImageManifest, m)))
	if s.HasBlob(string(m.Layers[0].Digest)) {
		t.Fatal("the store believes it")
	}
	honest := newBuilder(t)
	img := ingest(t, s, honest, honest.image(topLayer))
	if img.Layers[0].DiffID != string(digest.FromBytes(topLayer)) {
		t.Error("another layer")
	}
	// A blob that is known cannot be passed off as another layer.
	liar = newBuilder(t)
	m = liar.manifest(topLayer)
	m.Config = liar.json(ocispec.MediaTypeImageConfig, liar.config(hostPlatform(), baseLayer))
	m.Annotations = map[string]string{"other": "manifest"}
	_, err := s.Ingest(context.Background(), IngestRequest{LayoutDir: liar.dir, Image: liar.finish(liar.json(ocispec.MediaTypeImageManifest, m))})
	if !errors.Is(err, ErrInvalidImage) {
		t.Error(err)
	}
}

func FuzzLayout(f *testing.F) {
	b := newBuilder(f)
	b.image(baseLayer)
	index, _ := os.ReadFile(filepath.Join(b.dir, "index.json"))
	manifest, _ := json.Marshal(b.manifest(baseLayer))
	config, _ := json.Marshal(b.config(hostPlatform(), baseLayer))
	f.Add(index, manifest, config)
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"digest":"sha256:`+strings.Repeat("a", 64)+`","size":-1}]}`), index, []byte("{}"))
	f.Fuzz(func(t *testing.T, index, manifest, config []byte) {
		b := newBuilder(t)
		b.write("index.json", index)
		md := b.blob(ocispec.MediaTypeImageManifest, manifest)
		xd := b.blob(ocispec.MediaTypeImageIndex, index)
		b.blob(ocispec.MediaTypeImageConfig, config)
		l, err := openLayout(b.dir)
		if err != nil {
			t.Fatal(err)
		}
		defer l.close()
		p := hostPlatform()
		for _, d := range []ocispec.Descriptor{md, xd} {
			if _, err := l.walk(d, &p); err != nil && strings.ContainsAny(err.Error(), "\x00\x1b\n") {
				t.Fatalf("control character in %q", err)
			}
			if got, err := l.descend(d, &p, 0); err == nil && digest.FromBytes(got.raw) != got.manifest.Digest {
				t.Fatal("digest not checked")
			}
		}
		if c, err := parseConfig(config, 1); err == nil && checkDigest(string(c.RootFS.DiffIDs[0])) != nil {
			t.Fatal("bad diffID")
		}
	})
}
