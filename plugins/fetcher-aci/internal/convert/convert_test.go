package convert

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rkt/rkt/v2/proto/ociapp"
	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/fetcher"
	"github.com/rkt/rkt/v2/sdk/ocilayout"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

const base = `{"acKind":"ImageManifest","acVersion":"0.8.11","name":"example.com/app",
"labels":[{"name":"version","value":"1.0"},{"name":"os","value":"linux"},{"name":"arch","value":"amd64"}],
"app":{"exec":["/bin/app","-v"],"user":"/bin/app","group":"7","supplementaryGIDs":[4],"workingDirectory":"/w","environment":[{"name":"A","value":"b=c"}],
"eventHandlers":[{"name":"pre-start","exec":["/bin/pre"]}],"mountPoints":[{"name":"data","path":"/data","readOnly":true}],
"ports":[{"name":"http","protocol":"tcp","port":80,"count":2}],"isolators":[{"name":"resource/memory","value":{"limit":"1G"}}],
"userLabels":{"l":"m"},"userAnnotations":{"x":"y"}},"annotations":[{"name":"created","value":"2015-10-01T12:00:00+02:00"},{"name":"authors","value":"A"}]EXTRA}`

func doc(extra string) string { return strings.Replace(base, "EXTRA", extra, 1) }

type file struct {
	tar.Header
	content string
}

func reg(name, content string) file {
	return file{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755}, content}
}

func dir(name string) file {
	return file{tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o755}, ""}
}

func link(kind byte, name, target string) file {
	return file{tar.Header{Name: name, Typeflag: kind, Linkname: target}, ""}
}

func aci(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		f.Size = int64(len(f.content))
		f.ModTime = time.Unix(1e9, 0)
		if err := w.WriteHeader(&f.Header); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, f.content)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func run(t testing.TB, blob []byte) (fetcher.Conversion, string, error) {
	t.Helper()
	return runOn(t, t.Context(), blob, t.TempDir())
}

func runOn(t testing.TB, ctx context.Context, blob []byte, out string) (fetcher.Conversion, string, error) {
	t.Helper()
	in := t.TempDir()
	l, err := ocilayout.Open(in)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d, err := l.Blob(t.Context(), fetcher.Descriptor{MediaType: MediaType}, bytes.NewReader(blob), nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Image(ctx, fetcher.ConvertRequest{LayoutDir: in, Image: d, OutLayoutDir: out, Platform: fetcher.Platform{OS: "linux", Architecture: "amd64"}})
	return c, out, err
}

func blob(t testing.TB, dir, digest string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "blobs", strings.Replace(digest, ":", "/", 1)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func decode[T any](t testing.TB, dir, digest string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(blob(t, dir, digest), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func entries(t testing.TB, layer []byte) []string {
	t.Helper()
	var out []string
	r := tar.NewReader(bytes.NewReader(layer))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		s := fmt.Sprintf("%c %s %d:%d %o", h.Typeflag, h.Name, h.Uid, h.Gid, h.Mode)
		if h.Linkname != "" {
			s += " -> " + h.Linkname
		}
		for k := range h.PAXRecords {
			s += " " + k
		}
		out = append(out, s)
	}
}

func TestImage(t *testing.T) {
	app := reg("rootfs/bin/app", "#!")
	app.Uid, app.Gid, app.Mode = 12, 13, 0o4755
	app.Uname = "builder"
	app.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": "x", "SCHILY.xattr.security.selinux": "y", "SCHILY.xattr.user.a": "z", "SCHILY.xattr.trusted.overlay.opaque": "y"}
	plain := aci(t,
		dir("rootfs"), dir("./rootfs/bin/"), app,
		link(tar.TypeLink, "rootfs/bin/again", "rootfs/bin/app"),
		link(tar.TypeSymlink, "rootfs/etc", "../../../etc"),
		file{tar.Header{Name: "rootfs/null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3, Mode: 0o666}, ""},
		file{tar.Header{Name: "rootfs/fifo", Typeflag: tar.TypeFifo, Mode: 0o600}, ""},
		reg("manifest", doc("")),
	)
	sum := sha512.Sum512(plain)
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	w.Write(plain)
	w.Close()
	var digests []string
	for name, b := range map[string][]byte{"plain": plain, "gzip": gz.Bytes()} {
		t.Run(name, func(t *testing.T) {
			c, out, err := run(t, b)
			if err != nil {
				t.Fatal(err)
			}
			digests = append(digests, c.Image.Digest)
			if c.Name != "example.com/app" || c.Version != "1.0" || c.Image.MediaType != v1.MediaTypeImageManifest || c.App.MediaType != ociapp.MediaType {
				t.Errorf("conversion %+v", c)
			}
			m := decode[v1.Manifest](t, out, c.Image.Digest)
			if len(m.Layers) != 1 || m.Layers[0].MediaType != v1.MediaTypeImageLayer {
				t.Fatalf("manifest %+v", m)
			}
			img := decode[v1.Image](t, out, string(m.Config.Digest))
			if img.Config.User != "12:7" || !slices.Equal(img.Config.Entrypoint, []string{"/bin/app", "-v"}) || img.Config.WorkingDir != "/w" ||
				!slices.Equal(img.Config.Env, []string{"A=b=c"}) || img.Config.Labels["l"] != "m" || len(img.Config.ExposedPorts) != 2 ||
				img.OS != "linux" || img.Architecture != "amd64" || !img.Created.Equal(time.Date(2015, 10, 1, 10, 0, 0, 0, time.UTC)) ||
				img.RootFS.DiffIDs[0] != m.Layers[0].Digest || m.Annotations[v1.AnnotationVersion] != "1.0" {
				t.Errorf("config %+v", img)
			}
			a := decode[ociapp.App](t, out, c.App.Digest)
			if a.ID != "sha512-"+hex.EncodeToString(sum[:]) || a.Group != "7" || a.SupplementaryGIDs[0] != 4 || a.Ports[0].Count != 2 ||
				!a.MountPoints[0].ReadOnly || string(a.Isolators[0].Value) != `{"limit":"1G"}` || a.EventHandlers[0].Exec[0] != "/bin/pre" || a.UserAnnotations["x"] != "y" || a.Labels["arch"] != "amd64" {
				t.Errorf("app %+v", a)
			}
			want := []string{
				"5 ./ 0:0 755", "5 bin/ 0:0 755", "0 bin/app 12:13 4755 SCHILY.xattr.security.capability SCHILY.xattr.user.a",
				"1 bin/again 0:0 0 -> bin/app", "2 etc 0:0 0 -> ../../../etc", "3 null 0:0 666", "6 fifo 0:0 600",
			}
			got := entries(t, blob(t, out, string(m.Layers[0].Digest)))
			for i := range got {
				f := strings.Fields(got[i])
				if len(f) > 4 && f[4] != "->" {
					slices.Sort(f[4:])
					got[i] = strings.Join(f, " ")
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("layer\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			var idx struct{ Manifests []fetcher.Descriptor }
			b, _ := os.ReadFile(filepath.Join(out, "index.json"))
			if json.Unmarshal(b, &idx); len(idx.Manifests) != 1 || idx.Manifests[0].Digest != c.Image.Digest {
				t.Errorf("index %s", b)
			}
		})
	}
	if len(digests) != 2 || digests[0] != digests[1] {
		t.Errorf("the same image gave %v", digests)
	}
}

func TestTwiceIntoOneLayout(t *testing.T) {
	b := aci(t, reg("manifest", doc("")), dir("rootfs"), reg("rootfs/bin/app", "x"))
	out := t.TempDir()
	first, _, err := runOn(t, t.Context(), b, out)
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := runOn(t, t.Context(), b, out)
	if err != nil || second.Image.Digest != first.Image.Digest {
		t.Errorf("%v, %v", second, err)
	}
}

func TestImageWithoutApp(t *testing.T) {
	c, out, err := run(t, aci(t, reg("manifest", `{"acKind":"ImageManifest","acVersion":"0.8.0","name":"base","labels":[{"name":"os","value":"linux"},{"name":"arch","value":"amd64"}]}`), dir("rootfs")))
	if err != nil {
		t.Fatal(err)
	}
	img := decode[v1.Image](t, out, string(decode[v1.Manifest](t, out, c.Image.Digest).Config.Digest))
	if img.Config.User != "" || img.Config.Entrypoint != nil {
		t.Errorf("%+v", img.Config)
	}
}

func TestWhitelist(t *testing.T) {
	b := aci(t, reg("manifest", doc(`,"pathWhitelist":["/bin/app","/empty","/deep/er/file"]`)),
		dir("rootfs"), dir("rootfs/bin"), reg("rootfs/bin/app", "x"), reg("rootfs/bin/other", "x"), dir("rootfs/empty"), reg("rootfs/empty/not", "x"),
		dir("rootfs/gone"), dir("rootfs/deep"), dir("rootfs/deep/er"), reg("rootfs/deep/er/file", "x"))
	c, out, err := run(t, b)
	if err != nil {
		t.Fatal(err)
	}
	m := decode[v1.Manifest](t, out, c.Image.Digest)
	var names []string
	for _, e := range entries(t, blob(t, out, string(m.Layers[0].Digest))) {
		names = append(names, strings.Fields(e)[1])
	}
	if want := []string{"./", "bin/", "bin/app", "empty/", "deep/", "deep/er/", "deep/er/file"}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
}

func TestRefuses(t *testing.T) {
	m, app := reg("manifest", doc("")), reg("rootfs/bin/app", "x")
	owner := app
	owner.Uid = -1
	replace := func(old, new string) file { return reg("manifest", strings.Replace(doc(""), old, new, 1)) }
	for name, c := range map[string]struct {
		files []file
		want  string
	}{
		"two manifests":           {[]file{m, app, m}, "more than one manifest"},
		"second manifest differs": {[]file{m, app, replace("1.0", "2.0")}, "more than one manifest"},
		"hard link out":           {[]file{m, app, link(tar.TypeLink, "rootfs/x", "../etc/shadow")}, `"rootfs/x"`},
		"hard link absolute":      {[]file{m, app, link(tar.TypeLink, "rootfs/x", "/etc/shadow")}, "absolute"},
		"hard link to manifest":   {[]file{m, app, link(tar.TypeLink, "rootfs/x", "manifest")}, "below rootfs"},
		"whiteout":                {[]file{m, app, reg("rootfs/.wh.bin", "")}, ".wh."},
		"opaque":                  {[]file{m, app, reg("rootfs/a/.wh..wh..opq", "")}, ".wh."},
		"whiteout directory":      {[]file{m, app, reg("rootfs/.wh.a/b", "")}, ".wh."},
		"strange type":            {[]file{m, app, {tar.Header{Name: "rootfs/x", Typeflag: 'Z'}, ""}}, "type"},
		"extra file":              {[]file{m, app, reg("config", "x")}, "nothing else"},
		"dependency":              {[]file{reg("manifest", doc(`,"dependencies":[{"imageName":"example.com/base"}]`)), app}, "example.com/base"},
		"other arch":              {[]file{replace("amd64", "aarch64"), app}, "wanted is linux/amd64"},
		"no arch":                 {[]file{replace(`,{"name":"arch","value":"amd64"}`, ""), app}, "no os and arch"},
		"user's file absent":      {[]file{m, reg("rootfs/bin/other", "x")}, `"/bin/app", which is not in the image`},
		"user's file a link":      {[]file{m, link(tar.TypeSymlink, "rootfs/bin/app", "x")}, "symbolic link"},
		"link beside whitelist": {[]file{reg("manifest", doc(`,"pathWhitelist":["/bin/app","/l"]`)), app, reg("rootfs/secret", "x"),
			link(tar.TypeLink, "rootfs/l", "rootfs/secret")}, "pathWhitelist"},
	} {
		t.Run(name, func(t *testing.T) {
			_, out, err := run(t, aci(t, c.files...))
			var e *plugin.Error
			if !errors.As(err, &e) || e.Reason != reason.ImageInvalid || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want IMAGE_INVALID with %q", err, c.want)
			}
			left, _ := filepath.Glob(out + "/blobs/sha256/*")
			if len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			if _, err := os.Stat(filepath.Join(out, "index.json")); err == nil {
				t.Error("there is an index")
			}
		})
	}
	if _, _, err := run(t, aci(t, m, app)[:1500]); err == nil {
		t.Error("a cut image was converted")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := runOn(t, ctx, aci(t, m, app), t.TempDir()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestSparseClaim(t *testing.T) {
	// A PAX 1.0 sparse file of 1 TiB that has no data at all.
	// archive/tar writes no such file, so its header is put together here.
	rec := "GNU.sparse.major=1\nGNU.sparse.minor=0\nGNU.sparse.name=rootfs/bomb\nGNU.sparse.realsize=1099511627776\n"
	var pax strings.Builder
	for line := range strings.Lines(rec) {
		n := len(line) + 1
		for len(fmt.Sprintf("%d %s", n, line)) != n {
			n++
		}
		fmt.Fprintf(&pax, "%d %s", n, line)
	}
	l := &layer{left: 1 << 30, owner: newOwners(nil)}
	var tarball bytes.Buffer
	w := tar.NewWriter(&tarball)
	h := &tar.Header{Name: "x", Typeflag: tar.TypeReg, Size: int64(pax.Len())}
	w.WriteHeader(h)
	io.WriteString(w, pax.String())
	w.Flush()
	content := "1\n1099511627776\n0\n"
	content += strings.Repeat("\x00", 512-len(content))
	w.WriteHeader(&tar.Header{Name: "rootfs/bomb", Typeflag: tar.TypeReg, Size: int64(len(content))})
	io.WriteString(w, content)
	w.Close()
	data := tarball.Bytes()
	data[156] = 'x' // the first header is a PAX header now; its checksum follows
	copy(data[148:156], "        ")
	sum := 0
	for _, c := range data[:512] {
		sum += int(c)
	}
	copy(data[148:156], fmt.Sprintf("%06o\x00 ", sum))
	if err := l.write(io.Discard, bytes.NewReader(data)); err == nil || !strings.Contains(err.Error(), "more than an image may have") {
		t.Errorf("a sparse file of 1 TiB: %v", err)
	}
}

func FuzzLayer(f *testing.F) {
	f.Add(aci(f, reg("manifest", doc("")), dir("rootfs"), reg("rootfs/bin/app", "x"), link(tar.TypeLink, "rootfs/l", "rootfs/bin/app")))
	f.Add(aci(f, link(tar.TypeSymlink, "rootfs/a", "/"), reg("rootfs/a/b", "x")))
	f.Fuzz(func(t *testing.T, b []byte) {
		var out bytes.Buffer
		l := &layer{left: 1 << 20, owner: newOwners(nil), first: []byte(doc(""))}
		if l.write(&out, bytes.NewReader(b)) != nil {
			return
		}
		r := tar.NewReader(&out)
		for {
			h, err := r.Next()
			if err != nil {
				if !errors.Is(err, io.EOF) {
					t.Errorf("the layer is no tar: %v", err)
				}
				return
			}
			if !filepath.IsLocal(h.Name) || strings.Contains("/"+h.Name, "/.wh.") || h.Typeflag == tar.TypeLink && !filepath.IsLocal(h.Linkname) {
				t.Errorf("%q -> %q", h.Name, h.Linkname)
			}
		}
	})
}
