package store

import (
	"archive/tar"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rkt/rkt/v2/core/image"
	"github.com/rkt/rkt/v2/proto/ociapp"
)

var (
	baseLayer = tarOf(file{name: "bin/", typ: tar.TypeDir}, file{name: "bin/true", data: "#!true"}, file{name: "etc/os", data: "one"})
	topLayer  = tarOf(file{name: "etc/.wh.os"}, file{name: "etc/new", data: "two"})
)

func ingest(t testing.TB, s *Store, b *builder, d ocispec.Descriptor, names ...string) *Image {
	t.Helper()
	img, err := s.Ingest(context.Background(), IngestRequest{LayoutDir: b.dir, Image: d, Names: names})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestIngestAndLookup(t *testing.T) {
	s := openStore(t)
	b := newBuilder(t)
	d := b.image(baseLayer, topLayer)
	img := ingest(t, s, b, d, "docker://busybox", "docker://docker.io/library/busybox:latest")
	if img.ID != "sha256-"+d.Digest.Encoded() || img.Manifest != string(d.Digest) || len(img.Layers) != 2 ||
		img.Config.Config.Cmd[0] != "/bin/true" || img.Size != 12 || img.Created.Unix() != 1e9 ||
		!slices.Equal(img.Names, []string{"docker://docker.io/library/busybox:latest"}) {
		t.Errorf("%+v", img)
	}
	if b, err := os.ReadFile(filepath.Join(img.Layers[1].Dir, "etc/new")); string(b) != "two" {
		t.Errorf("%q, %v", b, err)
	}
	for _, name := range []string{"busybox", "docker://busybox", "docker:busybox:latest", "docker.io/busybox", img.ID, img.ID[:9],
		"sha256:" + d.Digest.Encoded()[:4]} {
		got, err := s.Lookup(ref(t, name))
		if err != nil || got.ID != img.ID {
			t.Errorf("look up %s: %v", name, err)
		}
	}
	for _, name := range []string{"busybox:1", "docker://other", "aci://busybox", "sha512-00", "oci:/x"} {
		if _, err := s.Lookup(ref(t, name)); !errors.Is(err, ErrNotFound) {
			t.Errorf("look up %s: %v", name, err)
		}
	}
	all, err := s.Images()
	if err != nil || len(all) != 1 {
		t.Fatalf("%v, %v", all, err)
	}
	known, err := s.KnownBlobs()
	if err != nil || len(known) != 2 || !s.HasBlob(known[0]) || s.HasBlob(string(d.Digest)) {
		t.Errorf("%v, %v", known, err)
	}
	if err := s.Verify(context.Background(), img.ID); err != nil {
		t.Error(err)
	}
	if raw, err := s.ReadManifest(img); err != nil || digest.FromBytes(raw) != d.Digest {
		t.Error(err)
	}
}

// A layer is unpacked once, its blob is not asked for again, and a name moves to the newest image.
func TestSharedLayersAndRetag(t *testing.T) {
	s := openStore(t)
	b := newBuilder(t)
	first := ingest(t, s, b, b.image(baseLayer), "docker://x")
	b2 := newBuilder(t)
	d := b2.image(baseLayer, topLayer)
	b2.must(os.Remove(b2.blobPath(digest.FromBytes(gzipOf(baseLayer)))))
	second := ingest(t, s, b2, d, "docker://x", "docker://y")
	if first.Layers[0].Dir != second.Layers[0].Dir {
		t.Error("layer is not shared")
	}
	got, err := s.Lookup(ref(t, "x"))
	if err != nil || got.ID != second.ID {
		t.Errorf("%v, %v", got, err)
	}
	all, err := s.Images()
	if err != nil || len(all) != 2 || all[0].ID != second.ID || len(all[1].Names) != 0 {
		t.Errorf("%v, %v", all, err)
	}
	if err := s.Untag("docker://y"); err != nil {
		t.Error(err)
	}
	if err := s.Untag("docker://y"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if err := s.Tag(first.ID, "docker://z:1"); err != nil {
		t.Error(err)
	}
	if got, err := s.Lookup(ref(t, "z:1")); err != nil || got.ID != first.ID {
		t.Error(err)
	}
	// Without the layer in the store, the layout must deliver it.
	b3 := newBuilder(t)
	d = b3.image(tarOf(file{name: "only", data: "here"}))
	b3.must(os.Remove(b3.blobPath(digest.FromBytes(gzipOf(tarOf(file{name: "only", data: "here"}))))))
	if _, err := s.Ingest(context.Background(), IngestRequest{LayoutDir: b3.dir, Image: d}); !errors.Is(err, ErrBlobMissing) {
		t.Error(err)
	}
}

func TestACI(t *testing.T) {
	s := openStore(t)
	id := "sha512-" + strings.Repeat("ab", 64)
	add := func(id, version, name string, layer []byte) *Image {
		b := newBuilder(t)
		d := b.image(layer)
		app := b.json(ociapp.MediaType, ociapp.App{Schema: 1, Format: "appc", Name: "example.com/app",
			Labels: map[string]string{"version": version, "os": "linux", "arch": "amd64"}})
		img, err := s.Ingest(context.Background(), IngestRequest{LayoutDir: b.dir, Image: d, App: &app, ID: id, Names: []string{name}})
		if err != nil {
			t.Fatal(err)
		}
		return img
	}
	one := add(id, "1.0", "aci://example.com/app:1.0", baseLayer)
	if one.ID != id || one.App == nil || one.App.Name != "example.com/app" {
		t.Errorf("%+v", one)
	}
	two := add(strings.Replace(id, "ab", "ac", 1), "2.0", "aci://example.com/app,version=2.0,os=linux", topLayer)
	for name, want := range map[string]string{
		"aci://example.com/app":                  two.ID,
		"example.com/app":                        two.ID,
		"example.com/app:1.0":                    one.ID,
		"aci://example.com/app:1.0,arch=amd64":   one.ID,
		"aci://example.com/app,os=linux":         two.ID,
		"aci://example.com/app:2.0":              two.ID,
		"aci://example.com/app:3.0":              "",
		"aci://example.com/app:1.0,arch=aarch64": "",
		"aci://example.com/ap":                   "",
		"sha512-a":                               "",
		"sha512-ab":                              one.ID,
	} {
		r, err := image.Parse(name)
		if err != nil {
			continue
		}
		got, err := s.Lookup(r)
		if want == "" && !errors.Is(err, ErrNotFound) || want != "" && (err != nil || got.ID != want) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if _, err := s.Lookup(ref(t, "sha512-"+strings.Repeat("ab", 1)[:1]+"b")); err != nil {
		t.Error(err)
	}
}

func TestAmbiguousID(t *testing.T) {
	s := openStore(t)
	b := newBuilder(t)
	d := b.image(baseLayer)
	for _, hex := range []string{"aa11", "aa22"} {
		_, err := s.Ingest(context.Background(), IngestRequest{LayoutDir: b.dir, Image: d, ID: "sha256-" + hex + strings.Repeat("0", 60)})
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.Lookup(ref(t, "sha256-aa"))
	if !errors.Is(err, ErrAmbiguous) || !strings.Contains(err.Error(), "sha256-aa1100000000, sha256-aa2200000000") {
		t.Error(err)
	}
}

func TestGC(t *testing.T) {
	s := openStore(t)
	ctx := context.Background()
	b := newBuilder(t)
	old := ingest(t, s, b, b.image(baseLayer, topLayer), "docker://old")
	b2 := newBuilder(t)
	kept := ingest(t, s, b2, b2.image(baseLayer), "docker://kept")
	st, err := s.NewStaging("docker://live")
	if err != nil {
		t.Fatal(err)
	}
	dead, err := s.NewStaging("docker://dead")
	if err != nil {
		t.Fatal(err)
	}
	dead.Keep()
	hour := time.Now().Add(-time.Hour)
	for _, i := range []*Image{old, kept} {
		if err := os.Chtimes(s.recordPath(i.ID), hour, hour); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Touch(kept.ID); err != nil {
		t.Fatal(err)
	}
	none := func() (InUse, error) { return InUse{}, nil }
	inUse := func() (InUse, error) {
		return InUse{Images: map[string]bool{old.ID: true}}, nil
	}
	c, err := s.GC(ctx, inUse, time.Minute)
	if err != nil || len(c.Images)+len(c.Layers)+len(c.Blobs) != 0 || len(c.Rubbish) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	// Removed while a pod runs from it: the pod's layers stay.
	if err := s.Remove(old.ID); err != nil {
		t.Fatal(err)
	}
	c, err = s.GC(ctx, func() (InUse, error) {
		return InUse{Layers: map[string]bool{old.Layers[1].Dir: true}}, nil
	}, -1)
	if err != nil || len(c.Layers) != 0 || len(c.Blobs) != 2 {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err = s.GC(ctx, none, time.Minute); err != nil || len(c.Images) != 0 || len(c.Layers) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := s.Lookup(ref(t, "kept")); err != nil {
		t.Error(err)
	}
	if c, err = s.GC(ctx, none, 0); err != nil || len(c.Images) != 1 || len(c.Layers) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	if err := st.Close(); err != nil {
		t.Error(err)
	}
	onlySkeleton(t, s)
}

// onlySkeleton fails when the store holds anything.
func onlySkeleton(t *testing.T, s *Store) {
	t.Helper()
	for _, dir := range []string{s.path("images"), s.path("names"), s.path("layers"), s.path("tmp"), s.path("blobs", "sha256"),
		s.path("blobs", "sha512"), s.staging} {
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) > 0 {
			t.Errorf("%s: %v, %v", dir, entries, err)
		}
	}
}

func TestDamage(t *testing.T) {
	s := openStore(t)
	ctx := context.Background()
	b := newBuilder(t)
	d := b.image(baseLayer, topLayer)
	img := ingest(t, s, b, d, "docker://x")
	victim := filepath.Join(img.Layers[0].Dir, "bin/true")
	if err := os.WriteFile(victim, []byte("#!evil"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(victim, time.Unix(1e9, 0), time.Unix(1e9, 0)); err != nil {
		t.Fatal(err)
	}
	err := s.Verify(ctx, img.ID)
	if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), `"bin/true": content differs`) {
		t.Fatal(err)
	}
	if _, err := s.Lookup(ref(t, "x")); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
	if known, _ := s.KnownBlobs(); len(known) != 1 {
		t.Errorf("%v", known)
	}
	// The next fetch repairs it.
	img = ingest(t, s, b, d, "docker://x")
	if err := s.Verify(ctx, img.ID); err != nil {
		t.Error(err)
	}
	for name, break_ := range map[string]func() error{
		"extra file": func() error { return os.WriteFile(filepath.Join(img.Layers[1].Dir, "extra"), nil, 0o600) },
		"gone":       func() error { return os.Remove(filepath.Join(img.Layers[0].Dir, "etc/os")) },
		"mode":       func() error { return os.Chmod(filepath.Join(img.Layers[0].Dir, "bin"), 0o700) },
		"whiteout":   func() error { return os.Remove(filepath.Join(img.Layers[1].Dir, "etc/os")) },
		"journal":    func() error { return os.WriteFile(filepath.Join(img.Layers[1].Dir, "../journal"), nil, 0o600) },
		"layer.json": func() error { return os.Remove(filepath.Join(img.Layers[1].Dir, "../layer.json")) },
		"layer":      func() error { return os.RemoveAll(filepath.Dir(img.Layers[0].Dir)) },
		"diff":       func() error { return os.RemoveAll(img.Layers[0].Dir) },
		"config":     func() error { return os.WriteFile(s.blobPath(img.rec.Config), []byte("{}"), 0o600) },
		"manifest":   func() error { return os.Remove(s.blobPath(img.rec.Manifest)) },
	} {
		if err := break_(); err != nil {
			t.Fatal(err)
		}
		if err := s.Verify(ctx, img.ID); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		img = ingest(t, s, b, d, "docker://x")
		if err := s.Verify(ctx, img.ID); err != nil {
			t.Errorf("%s, repaired: %v", name, err)
		}
	}
	// One broken record hides no other and can be removed.
	b2 := newBuilder(t)
	other := ingest(t, s, b2, b2.image(baseLayer), "docker://other")
	if err := os.WriteFile(s.recordPath(img.ID), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := s.Images()
	if len(all) != 1 || all[0].ID != other.ID || !errors.Is(err, ErrDamaged) {
		t.Errorf("%v, %v", all, err)
	}
	c, err := s.GC(ctx, func() (InUse, error) { return InUse{}, nil }, -1)
	if !errors.Is(err, ErrDamaged) || len(c.Layers) != 0 {
		t.Errorf("%+v, %v", c, err)
	}
	if err := s.Remove(img.ID); err != nil {
		t.Error(err)
	}
	if all, err := s.Images(); len(all) != 1 || err != nil {
		t.Errorf("%v, %v", all, err)
	}
	if _, err := s.GC(ctx, func() (InUse, error) { return InUse{}, nil }, 0); err != nil {
		t.Error(err)
	}
	onlySkeleton(t, s)
}

func TestOverlayOrder(t *testing.T) {
	s := openStore(t)
	b := newBuilder(t)
	hideAll := tarOf(file{name: ".wh..wh..opq"}, file{name: "new", data: "x"})
	img := ingest(t, s, b, b.image(baseLayer, topLayer, baseLayer))
	if len(img.Layers) != 2 || img.Layers[0].DiffID != string(digest.FromBytes(topLayer)) {
		t.Errorf("a layer that comes twice: %+v", img.Layers)
	}
	b = newBuilder(t)
	if img = ingest(t, s, b, b.image(baseLayer, hideAll, topLayer)); len(img.Layers) != 2 || img.Layers[0].DiffID != string(digest.FromBytes(hideAll)) {
		t.Errorf("an opaque root: %+v", img.Layers)
	}
	b = newBuilder(t)
	if img = ingest(t, s, b, b.image()); len(img.Layers) != 0 {
		t.Errorf("no layers: %+v", img.Layers)
	}
}

func TestStaging(t *testing.T) {
	s := openStore(t)
	a, err := s.NewStaging("docker://x")
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.NewStaging("docker://x")
	if err != nil || a.Dir() == b.Dir() {
		t.Fatalf("two owners of %s, %v", a.Dir(), err)
	}
	if err := os.WriteFile(filepath.Join(a.LayoutDir(), "x.partial"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a.Keep()
	c, err := s.NewStaging("docker://x")
	if err != nil || c.Dir() != a.Dir() {
		t.Fatalf("not resumed: %v", err)
	}
	if _, err := os.Stat(filepath.Join(c.LayoutDir(), "x.partial")); err != nil {
		t.Error(err)
	}
	if os.Geteuid() == 0 {
		for range 2 {
			if err := c.Chown(12345, 12346); err != nil {
				t.Fatal(err)
			}
		}
		if left, _ := os.ReadDir(c.LayoutDir()); len(left) != 0 {
			t.Errorf("another user's rest was kept: %v", left)
		}
	}
	if _, err := c.NewLayout("../x"); err == nil {
		t.Error("a way out")
	}
	if _, err := c.NewLayout("converted"); err != nil {
		t.Error(err)
	}
	for _, st := range []*Staging{b, c} {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}
	onlySkeleton(t, s)
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(s.root, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil {
		t.Error("a store that everybody may write to")
	}
	if err := os.Chmod(s.root, 0o750); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Lchown(s.root, 1234, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); err == nil {
			t.Error("another user's store")
		}
		if err := os.Lchown(s.root, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(s.path("version"), []byte("2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "version") {
		t.Error(err)
	}
}
