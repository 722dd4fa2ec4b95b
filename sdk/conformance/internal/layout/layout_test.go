package layout

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tree is a layout that is being made.
type tree struct {
	t   *testing.T
	dir string
}

func (l tree) put(name, text string) {
	l.t.Helper()
	path := filepath.Join(l.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		l.t.Fatal(err)
	}
}

func (l tree) blob(mediaType, text string) Descriptor {
	sum := sha256.Sum256([]byte(text))
	d := Descriptor{MediaType: mediaType, Digest: "sha256:" + hex.EncodeToString(sum[:]), Size: int64(len(text))}
	l.put(BlobName(d.Digest), text)
	return d
}

func (l tree) json(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		l.t.Fatal(err)
	}
	return string(b)
}

// whole is a layout with an image, and the digest of its layer.
func whole(t *testing.T) (tree, Descriptor, Descriptor) {
	l := tree{t, t.TempDir()}
	layer, config := l.blob("layer", "bytes"), l.blob("config", "{}")
	image := l.blob(manifestType, l.json(map[string]any{"config": config, "layers": []Descriptor{layer}}))
	l.put("oci-layout", `{"imageLayoutVersion":"1.0.0"}`)
	l.put("index.json", l.json(map[string]any{"schemaVersion": 2, "manifests": []Descriptor{image}}))
	return l, image, layer
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(l tree, image, layer Descriptor) (Descriptor, []string)
		err   string
	}{
		{"whole", func(_ tree, image, _ Descriptor) (Descriptor, []string) { return image, nil }, ""},
		{"a partial file", func(l tree, image, _ Descriptor) (Descriptor, []string) {
			l.put("blobs/sha256/x.partial", "half")
			return image, nil
		}, ""},
		{"a layer that core has", func(l tree, image, layer Descriptor) (Descriptor, []string) {
			os.Remove(filepath.Join(l.dir, BlobName(layer.Digest)))
			return image, []string{layer.Digest}
		}, ""},
		{"no layer", func(l tree, image, layer Descriptor) (Descriptor, []string) {
			os.Remove(filepath.Join(l.dir, BlobName(layer.Digest)))
			return image, nil
		}, "is missing"},
		{"other bytes", func(l tree, image, layer Descriptor) (Descriptor, []string) {
			l.put(BlobName(layer.Digest), "bytez")
			return image, nil
		}, "have the digest"},
		{"another image", func(_ tree, _, layer Descriptor) (Descriptor, []string) { return layer, nil }, "does not list the image"},
		{"another size", func(_ tree, image, _ Descriptor) (Descriptor, []string) { image.Size++; return image, nil }, "does not list"},
		{"a foreign file", func(l tree, image, _ Descriptor) (Descriptor, []string) { l.put("etc/passwd", ""); return image, nil }, "directory etc"},
		{"a foreign blob", func(l tree, image, _ Descriptor) (Descriptor, []string) {
			l.put("blobs/sha256/x", "")
			return image, nil
		}, "no part of one"},
		{"a link", func(l tree, image, layer Descriptor) (Descriptor, []string) {
			path := filepath.Join(l.dir, BlobName(layer.Digest))
			os.Remove(path)
			os.Symlink("/etc/passwd", path)
			return image, nil
		}, "no regular file"},
		{"another version", func(l tree, image, _ Descriptor) (Descriptor, []string) {
			l.put("oci-layout", `{"imageLayoutVersion":"2.0.0"}`)
			return image, nil
		}, "version"},
		{"no index", func(l tree, image, _ Descriptor) (Descriptor, []string) {
			os.Remove(filepath.Join(l.dir, "index.json"))
			return image, nil
		}, "index.json"},
		{"index of schema 1", func(l tree, image, _ Descriptor) (Descriptor, []string) {
			l.put("index.json", `{"schemaVersion":1}`)
			return image, nil
		}, "schemaVersion 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, image, layer := whole(t)
			image, present := c.spoil(l, image, layer)
			err := Check(l.dir, image, present...)
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%v, want %q", err, c.err)
			}
		})
	}
}

// Of an index one whole manifest is enough, and one there must be.
func TestCheckIndex(t *testing.T) {
	l, image, _ := whole(t)
	gone := image
	gone.Digest = "sha256:" + strings.Repeat("0", 64)
	for _, c := range []struct {
		manifests []Descriptor
		ok        bool
	}{{[]Descriptor{gone, image}, true}, {[]Descriptor{gone}, false}, {nil, false}} {
		index := l.blob(indexType, l.json(map[string]any{"manifests": c.manifests}))
		l.put("index.json", l.json(map[string]any{"schemaVersion": 2, "manifests": []Descriptor{index}}))
		if err := Check(l.dir, index); (err == nil) != c.ok {
			t.Errorf("%v: %v", c.manifests, err)
		}
		os.Remove(filepath.Join(l.dir, BlobName(index.Digest)))
	}
	if blobs, err := Blobs(l.dir); err != nil || len(blobs) != 3 {
		t.Errorf("%q, %v", blobs, err)
	}

}
