package fetch

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"

	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/fetcher"
)

// tarEntry is one entry of a test archive; link makes it a symlink.
type tarEntry struct {
	name, link string
	data       []byte
}

func writeTar(t *testing.T, path string, entries ...tarEntry) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: 0o644, Size: int64(len(e.data)), Typeflag: tar.TypeReg}
		if e.link != "" {
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, e.link, 0
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		w.Write(e.data)
	}
	w.Close()
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// packed writes path again, compressed.
func packed(t *testing.T, path, how string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	switch how {
	case "gzip":
		w := gzip.NewWriter(&out)
		w.Write(b)
		w.Close()
	case "zstd":
		w, _ := zstd.NewWriter(&out)
		w.Write(b)
		w.Close()
	}
	path += "." + how
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// tarDir packs a directory.
func tarDir(t *testing.T, dir, path string) string {
	t.Helper()
	var entries []tarEntry
	filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			b, _ := os.ReadFile(p)
			rel, _ := filepath.Rel(dir, p)
			entries = append(entries, tarEntry{name: "./" + rel, data: b})
		}
		return err
	})
	return writeTar(t, path, entries...)
}

func TestOCILayout(t *testing.T) {
	img, other := buildImage(t, amd64, 1, 50_000), buildImage(t, amd64, 2, 100)
	multi := index(t, buildImage(t, arm64, 3, 100), img)
	dir := writeLayout(t, t.TempDir(), map[string]*built{"v1": img, "v2": other, "multi": multi})
	single := writeLayout(t, t.TempDir(), map[string]*built{"": multi})
	arc := tarDir(t, dir, filepath.Join(t.TempDir(), "a.tar"))
	c := newClient(t)
	for _, tt := range []struct{ ref, want string }{
		{"oci:" + dir + ":v1", string(img.manifest.Digest)},
		{"oci:" + dir + ":v2", string(other.manifest.Digest)},
		{"oci:" + dir + ":multi", string(img.manifest.Digest)},
		{"oci:" + dir + ":@" + string(other.manifest.Digest), string(other.manifest.Digest)},
		{"oci:" + single, string(img.manifest.Digest)},
		{"oci-archive:" + arc + ":v1", string(img.manifest.Digest)},
		{"oci-archive:" + packed(t, arc, "gzip") + ":multi", string(img.manifest.Digest)},
		{"oci-archive:" + packed(t, arc, "zstd") + ":v2", string(other.manifest.Digest)},
	} {
		t.Run(strings.ReplaceAll(tt.ref, "/", "_"), func(t *testing.T) {
			out := t.TempDir()
			for range 2 {
				res, err := c.fetch(tt.ref, out)
				if err != nil {
					t.Fatal(err)
				}
				if res.Image.Digest != tt.want || res.Canonical != tt.ref {
					t.Errorf("%+v", res)
				}
				checkLayout(t, out, res.Image, nil)
			}
		})
	}
	refuse := func(ref string, r reason.Reason, words ...string) {
		t.Helper()
		_, err := c.fetch(ref, t.TempDir())
		wantReason(t, err, r, words...)
	}
	refuse("oci:"+dir, reason.ReferenceInvalid, "3 images", `"multi"`, `"v1"`)
	refuse("oci:"+dir+":nope", reason.ImageNotFound, "nope", `"v1"`)
	refuse("oci:"+arc, reason.ImageNotFound, "oci-archive:")
	refuse("oci-archive:"+dir, reason.ImageNotFound, "oci:")
	refuse("docker-archive:"+arc, reason.ImageInvalid, "oci-archive:")
	refuse("oci:/nowhere/at/all", reason.ImageNotFound, "/nowhere/at/all")
	refuse("oci:relative", reason.ReferenceInvalid, "absolute")
	refuse("oci:"+t.TempDir(), reason.ImageInvalid, "oci-layout")
	refuse("ftp://x", reason.ReferenceInvalid, "docker-archive")
}

func TestOCILayoutDamaged(t *testing.T) {
	img := buildImage(t, amd64, 1, 5000)
	layer := string(img.m.Layers[1].Digest)
	blob := func(dir, d string) string { return filepath.Join(dir, "blobs", strings.Replace(d, ":", "/", 1)) }
	c := newClient(t)
	for name, damage := range map[string]func(dir string){
		"changed": func(dir string) {
			b := bytes.Clone(img.blobs[layer])
			b[100] ^= 1
			os.WriteFile(blob(dir, layer), b, 0o644)
		},
		"short": func(dir string) { os.Truncate(blob(dir, layer), 10) },
		"long":  func(dir string) { os.WriteFile(blob(dir, layer), append(bytes.Clone(img.blobs[layer]), 0), 0o644) },
		"manifest": func(dir string) {
			os.WriteFile(blob(dir, string(img.manifest.Digest)), bytes.Replace(img.blobs[string(img.manifest.Digest)], []byte("2"), []byte("3"), 1), 0o644)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, out := writeLayout(t, t.TempDir(), map[string]*built{"": img}), t.TempDir()
			damage(dir)
			_, err := c.fetch("oci:"+dir, out)
			wantReason(t, err, reason.DigestMismatch)
			if _, err := os.Stat(filepath.Join(out, "index.json")); err == nil {
				t.Error("an index was written")
			}
			// Repaired, the same call on the same directory works.
			writeLayout(t, dir, map[string]*built{"": img})
			res, err := c.fetch("oci:"+dir, out)
			if err != nil {
				t.Fatal(err)
			}
			checkLayout(t, out, res.Image, nil)
		})
	}
	t.Run("pipe", func(t *testing.T) {
		dir := writeLayout(t, t.TempDir(), map[string]*built{"": img})
		os.Remove(blob(dir, layer))
		syscall.Mkfifo(blob(dir, layer), 0o644)
		_, err := c.fetch("oci:"+dir, t.TempDir())
		wantReason(t, err, reason.ImageInvalid, "regular")
	})
	t.Run("link outside", func(t *testing.T) {
		dir := writeLayout(t, t.TempDir(), map[string]*built{"": img})
		os.Remove(blob(dir, layer))
		os.Symlink("/etc/passwd", blob(dir, layer))
		if _, err := c.fetch("oci:"+dir, t.TempDir()); err == nil {
			t.Error("a link out of the layout was followed")
		}
	})
}

// dockerSave makes the entries of a `docker save` archive of the old form: layers in directories, one of them a
// link to another.
func dockerSave(t *testing.T, img *built, tags ...string) []tarEntry {
	cfg := img.blobs[string(img.m.Config.Digest)]
	hexa := digest.FromBytes(cfg).Encoded()
	item := map[string]any{"Config": hexa + ".json", "RepoTags": tags}
	entries := []tarEntry{{name: hexa + ".json", data: cfg}}
	var names []string
	seen := map[string]string{}
	for i, raw := range img.diffs {
		name := hexa[:8] + string(rune('0'+i)) + "/layer.tar"
		names = append(names, name)
		if first, ok := seen[string(raw)]; ok {
			entries = append(entries, tarEntry{name: name, link: "../" + first})
			continue
		}
		seen[string(raw)] = name
		entries = append(entries, tarEntry{name: name, data: raw})
	}
	item["Layers"] = names
	return append(entries, tarEntry{name: "manifest.json", data: mustJSON(t, []any{item})})
}

func TestDockerArchive(t *testing.T) {
	img := buildImage(t, amd64, 1, 70_000)
	dup := buildImage(t, amd64, 4, 300)
	dup.diffs = append(dup.diffs, dup.diffs[0])
	var cfg map[string]any
	decode(t, dup.blobs[string(dup.m.Config.Digest)], &cfg)
	root := cfg["rootfs"].(map[string]any)
	root["diff_ids"] = append(root["diff_ids"].([]any), root["diff_ids"].([]any)[0])
	b := mustJSON(t, cfg)
	dup.m.Config = describe(dup.m.Config.MediaType, b)
	dup.blobs[string(dup.m.Config.Digest)] = b

	dir := t.TempDir()
	one := writeTar(t, filepath.Join(dir, "one.tar"), dockerSave(t, img, "example.com:5000/app:v1", "app:latest")...)
	links := writeTar(t, filepath.Join(dir, "links.tar"), dockerSave(t, dup, "dup:latest")...)
	both := append(dockerSave(t, img, "app:v1"), dockerSave(t, dup, "dup:v2")...)
	var list []any
	for _, e := range both {
		if e.name == "manifest.json" {
			var l []any
			decode(t, e.data, &l)
			list = append(list, l...)
		}
	}
	both = append(both, tarEntry{name: "manifest.json", data: mustJSON(t, list)}) // the last of one name counts
	two := writeTar(t, filepath.Join(dir, "two.tar"), both...)

	c := newClient(t)
	for _, tt := range []struct {
		ref    string
		layers int
	}{
		{"docker-archive:" + one, 3},
		{"docker-archive:" + one + ":example.com:5000/app:v1", 3},
		{"docker-archive:" + one + ":docker.io/library/app", 3},
		{"docker-archive:" + packed(t, one, "gzip"), 3},
		{"docker-archive:" + packed(t, one, "zstd") + ":v1", 3},
		{"docker-archive:" + links, 4},
		{"docker-archive:" + packed(t, links, "gzip"), 4},
		{"docker-archive:" + two + ":app:v1", 3},
		{"docker-archive:" + two + ":v2", 4},
		{"docker-archive:" + two + ":@1", 4},
	} {
		t.Run(strings.ReplaceAll(strings.TrimPrefix(tt.ref, "docker-archive:"+dir), "/", "_"), func(t *testing.T) {
			out := t.TempDir()
			var first string
			for range 2 {
				res, err := c.fetch(tt.ref, out)
				if err != nil {
					t.Fatal(err)
				}
				m := checkLayout(t, out, res.Image, nil)
				if len(m.Layers) != tt.layers || first != "" && first != res.Image.Digest {
					t.Errorf("%d layers, digest %s then %s", len(m.Layers), first, res.Image.Digest)
				}
				first = res.Image.Digest
			}
		})
	}
	refuse := func(ref string, r reason.Reason, words ...string) {
		t.Helper()
		_, err := c.fetch(ref, t.TempDir())
		wantReason(t, err, r, words...)
	}
	refuse("docker-archive:"+two, reason.ReferenceInvalid, "2 images", `"app:v1"`)
	refuse("docker-archive:"+two+":nope", reason.ImageNotFound, "nope", `"dup:v2"`)
	refuse("oci-archive:"+one, reason.ImageInvalid, "oci-layout")
}

func TestDockerArchiveHostile(t *testing.T) {
	img := buildImage(t, amd64, 1, 3000)
	good := dockerSave(t, img, "x:latest")
	c := newClient(t)
	change := func(f func(e *tarEntry)) []tarEntry {
		out := append([]tarEntry(nil), good...)
		for i := range out {
			f(&out[i])
		}
		return out
	}
	isLayer := func(e *tarEntry) bool { return strings.HasSuffix(e.name, "1/layer.tar") }
	manifest := func(v any) []tarEntry {
		return change(func(e *tarEntry) {
			if e.name == "manifest.json" {
				e.data = mustJSON(t, v)
			}
		})
	}
	for name, tt := range map[string]struct {
		entries []tarEntry
		reason  reason.Reason
	}{
		"other layer": {change(func(e *tarEntry) {
			if isLayer(e) {
				e.data = layerTar(t, 99, 10)
			}
		}), reason.DigestMismatch},
		"empty layer": {change(func(e *tarEntry) {
			if isLayer(e) {
				e.data = nil
			}
		}), reason.ImageInvalid},
		"link loop": {change(func(e *tarEntry) {
			if isLayer(e) {
				e.data, e.link = nil, "layer.tar"
			}
		}), reason.ImageInvalid},
		"link outside": {change(func(e *tarEntry) {
			if isLayer(e) {
				e.data, e.link = nil, "../../../../etc/passwd"
			}
		}), reason.ImageInvalid},
		"no layer": {change(func(e *tarEntry) {
			if isLayer(e) {
				e.name = "gone"
			}
		}), reason.ImageInvalid},
		"other config": {change(func(e *tarEntry) {
			if strings.HasSuffix(e.name, ".json") && e.name != "manifest.json" {
				e.data = []byte("{}")
			}
		}), reason.DigestMismatch},
		"no manifest": {good[:len(good)-1], reason.ImageInvalid},
		"manifest is {": {change(func(e *tarEntry) {
			if e.name == "manifest.json" {
				e.data = []byte("{")
			}
		}), reason.ImageInvalid},
		"no images": {manifest([]any{}), reason.ImageNotFound},
		"huge manifest": {change(func(e *tarEntry) {
			if e.name == "manifest.json" {
				e.data = make([]byte, 5<<20)
			}
		}), reason.ImageInvalid},
		"path outside": {manifest([]any{map[string]any{"Config": "../../etc/passwd", "Layers": []string{}}}), reason.ImageInvalid},
		"fewer layers": {manifest([]any{map[string]any{"Config": good[0].name, "Layers": []string{good[1].name}}}), reason.ImageInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			path := writeTar(t, filepath.Join(t.TempDir(), "a.tar"), tt.entries...)
			for _, p := range []string{path, packed(t, path, "gzip")} {
				_, err := c.fetch("docker-archive:"+p, t.TempDir())
				wantReason(t, err, tt.reason)
			}
		})
	}
	t.Run("truncated", func(t *testing.T) {
		path := writeTar(t, filepath.Join(t.TempDir(), "a.tar"), good...)
		os.Truncate(path, 4000)
		_, err := c.fetch("docker-archive:"+path, t.TempDir())
		wantReason(t, err, reason.ImageInvalid)
	})
	t.Run("no tar", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "a.tar")
		os.WriteFile(path, bytes.Repeat([]byte("no tar"), 1000), 0o644)
		_, err := c.fetch("docker-archive:"+path, t.TempDir())
		wantReason(t, err, reason.ImageInvalid)
	})
}

// TestArchivesOfOthers reads what skopeo writes.
func TestArchivesOfOthers(t *testing.T) {
	tool(t, "skopeo")
	img := buildImage(t, amd64, 1, 20_000, "gzip", "gzip", "plain")
	src := writeLayout(t, t.TempDir(), map[string]*built{"x": img})
	dir := t.TempDir()
	for _, dst := range []string{"docker-archive:" + dir + "/d.tar", "oci-archive:" + dir + "/o.tar"} {
		run(t, "skopeo", "copy", "--quiet", "--insecure-policy", "oci:"+src+":x", dst+":example.com/app:v1")
		out := t.TempDir()
		res, err := newClient(t).fetch(dst, out)
		if err != nil {
			t.Fatal(err)
		}
		m := checkLayout(t, out, res.Image, nil)
		if len(m.Layers) != 3 {
			t.Errorf("%s: %d layers", dst, len(m.Layers))
		}
		// skopeo reads what we wrote.
		run(t, "skopeo", "copy", "--quiet", "--insecure-policy", "oci:"+out, "dir:"+t.TempDir())
		if _, err := newClient(t).fetch(dst+":v1", t.TempDir()); err != nil && strings.HasPrefix(dst, "docker") {
			t.Error(err)
		}
	}
}

func TestPlatformOfConfig(t *testing.T) {
	img := buildImage(t, arm64, 1, 100)
	dir := writeLayout(t, t.TempDir(), map[string]*built{"": img})
	out := t.TempDir()
	_, err := newClient(t).fetch("oci:"+dir, out)
	wantReason(t, err, reason.ImageNotFound, "linux/arm64", "linux/amd64")
	if n := countBlobs(t, out); n != 1 {
		t.Errorf("%d blobs were copied, want the config alone", n)
	}
	if _, err := newClient(t).fetch("oci:"+dir, out, func(r *fetcher.Request) { r.Platform.Architecture = "arm64" }); err != nil {
		t.Error(err)
	}
}

// TestUnreadable fetches as an unprivileged user, as core lets the plugin do.
func TestUnreadable(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to become another user")
	}
	dir := openDir(t)
	os.Mkdir(dir+"/closed", 0o700)
	os.Mkdir(dir+"/out", 0o755)
	os.Chown(dir+"/out", 65534, 65534)
	writeLayout(t, dir+"/closed/layout", map[string]*built{"": buildImage(t, amd64, 1, 10)})
	cmd := childFetch(t, dir, fetcher.Request{Reference: "oci:" + dir + "/closed/layout", LayoutDir: dir + "/out"})
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	b, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatalf("a closed directory was read: %s", b)
	}
	for _, want := range []string{"IMAGE_NOT_FOUND", "permission denied", "user 65534", dir + "/closed (drwx------) is closed"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%q does not say %q", b, want)
		}
	}
	os.Chmod(dir+"/closed", 0o755)
	cmd = childFetch(t, dir, fetcher.Request{Reference: "oci:" + dir + "/closed/layout", LayoutDir: dir + "/out"})
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, b)
	}
}
