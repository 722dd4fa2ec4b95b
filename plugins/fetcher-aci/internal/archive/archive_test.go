package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ulikunitz/xz"
)

const manifest = `{"acKind":"ImageManifest","acVersion":"0.8.0","name":"example.com/app"}`

func tarOf(t testing.TB, hs ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range hs {
		content := []byte(nil)
		if h.Typeflag == tar.TypeReg {
			content = []byte("data")
			if h.Name == "manifest" || h.Name == "./manifest" {
				content = []byte(manifest)
			}
		}
		h.Size = int64(len(content))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		w.Write(content)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func file(t testing.TB, b []byte) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image.aci")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func xzOf(t testing.TB, b []byte, dict int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := xz.WriterConfig{DictCap: dict}.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(b)
	w.Close()
	return out.Bytes()
}

func gz(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

func pipe(t *testing.T, b []byte, name string, args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed", name)
	}
	cmd := exec.Command(name, args...)
	cmd.Stdin = bytes.NewReader(b)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestManifestInEveryCompression(t *testing.T) {
	plain := tarOf(t, tar.Header{Name: "rootfs/", Typeflag: tar.TypeDir}, tar.Header{Name: "rootfs/a", Typeflag: tar.TypeReg}, tar.Header{Name: "manifest", Typeflag: tar.TypeReg})
	for name, make := range map[string]func() []byte{
		"tar":          func() []byte { return plain },
		"gzip":         func() []byte { return gz(plain) },
		"bzip2":        func() []byte { return pipe(t, plain, "bzip2") },
		"xz lib":       func() []byte { return xzOf(t, plain, 1<<20) },
		"xz":           func() []byte { return pipe(t, plain, "xz") },
		"xz -9e":       func() []byte { return pipe(t, plain, "xz", "-9e") },
		"xz blocks":    func() []byte { return pipe(t, plain, "xz", "--block-size=1024") },
		"xz threads":   func() []byte { return pipe(t, plain, "xz", "-T2", "--block-size=2048") },
		"xz sha256":    func() []byte { return pipe(t, plain, "xz", "--check=sha256") },
		"xz no check":  func() []byte { return pipe(t, plain, "xz", "--check=none") },
		"xz 2 streams": func() []byte { return append(pipe(t, plain[:1024], "xz"), pipe(t, plain[1024:], "xz")...) },
		"xz padded": func() []byte {
			return append(append(pipe(t, plain[:1024], "xz"), 0, 0, 0, 0, 0, 0, 0, 0), pipe(t, plain[1024:], "xz")...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, _, err := Manifest(t.Context(), file(t, make()))
			if err != nil || m.Name != "example.com/app" {
				t.Errorf("%+v, %v", m, err)
			}
		})
	}
}

func TestXZLimits(t *testing.T) {
	// Random-looking data, so that there are many chunks and stored ones.
	data := make([]byte, 3<<20)
	s := uint32(1)
	for i := range data {
		s = s*1664525 + 1013904223
		data[i] = byte(s >> 24)
	}
	ok := append(xzOf(t, data, 1<<20), xzOf(t, data[:100], maxXZDict)...)
	if err := checkXZ(bytes.NewReader(ok), int64(len(ok))); err != nil {
		t.Error(err)
	}
	big := append(bytes.Clone(ok), pipe(t, data[:100], "xz", "--lzma2=dict=128MiB")...)
	if err := checkXZ(bytes.NewReader(big), int64(len(big))); err == nil || !strings.Contains(err.Error(), "dictionary") {
		t.Errorf("dictionary of 128 MiB in the third stream: %v", err)
	}
	filtered := pipe(t, data[:100], "xz", "--x86", "--lzma2")
	if err := checkXZ(bytes.NewReader(filtered), int64(len(filtered))); err == nil {
		t.Error("filters were taken")
	}
	for _, n := range []int{7, 13, 30, len(ok) / 2, len(ok) - 1} {
		if err := checkXZ(bytes.NewReader(ok), int64(n)); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
}

func TestBomb(t *testing.T) {
	zeros := bytes.Repeat(make([]byte, 1<<20), 64)
	small := gz(zeros)
	old := &limitReader{r: bytes.NewReader(zeros), left: 1 << 20}
	if n, err := io.Copy(io.Discard, old); !errors.Is(err, ErrTooLarge) || n > 1<<20 {
		t.Errorf("%d bytes, %v", n, err)
	}
	exact := &limitReader{r: bytes.NewReader(zeros), left: int64(len(zeros))}
	if n, err := io.Copy(io.Discard, exact); err != nil || n != int64(len(zeros)) {
		t.Errorf("%d bytes, %v", n, err)
	}
	if r, err := Open(t.Context(), file(t, small)); err != nil {
		t.Error(err)
	} else if _, err := io.Copy(io.Discard, r); err != nil {
		t.Error(err) // 64 MiB are allowed
	}
}

func TestRefuses(t *testing.T) {
	reg, dir, m := byte(tar.TypeReg), byte(tar.TypeDir), tar.Header{Name: "manifest", Typeflag: tar.TypeReg}
	for name, c := range map[string]struct {
		hs   []tar.Header
		want string
	}{
		"other file":         {[]tar.Header{{Name: "extra", Typeflag: reg}, m}, `"extra"`},
		"rootfs2":            {[]tar.Header{{Name: "rootfs2/x", Typeflag: reg}, m}, "rootfs2"},
		"absolute":           {[]tar.Header{{Name: "/rootfs/x", Typeflag: reg}, m}, "absolute"},
		"up":                 {[]tar.Header{{Name: "rootfs/../../x", Typeflag: reg}, m}, "goes up"},
		"up inside":          {[]tar.Header{{Name: "rootfs/a/../b", Typeflag: reg}, m}, "goes up"},
		"rootfs a symlink":   {[]tar.Header{{Name: "rootfs", Linkname: "/", Typeflag: tar.TypeSymlink}, m}, "not a directory"},
		"manifest a symlink": {[]tar.Header{{Name: "manifest", Linkname: "/etc/shadow", Typeflag: tar.TypeSymlink}}, "not a regular file"},
		"manifest a dir":     {[]tar.Header{{Name: "manifest/", Typeflag: dir}}, "not a regular file"},
		"no manifest":        {[]tar.Header{{Name: "rootfs/", Typeflag: dir}}, "no manifest"},
		"long name":          {[]tar.Header{{Name: "rootfs/" + strings.Repeat("x/", 2100), Typeflag: dir}, m}, "4096"},
		"long component":     {[]tar.Header{{Name: "rootfs/" + strings.Repeat("x", 256), Typeflag: reg}, m}, "255"},
	} {
		t.Run(name, func(t *testing.T) {
			if m, _, err := Manifest(t.Context(), file(t, tarOf(t, c.hs...))); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, %v; want %q", m, err, c.want)
			}
		})
	}
	for name, b := range map[string][]byte{"empty": {}, "html": []byte("<html>404</html>"), "pgp": []byte("-----BEGIN PGP MESSAGE-----"), "bad gzip": {0x1f, 0x8b, 0}, "cut gzip": gz(tarOf(t, m))[:40]} {
		if m, _, err := Manifest(t.Context(), file(t, b)); err == nil {
			t.Errorf("%s: %+v", name, m)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Manifest(ctx, file(t, tarOf(t, m))); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if m, _, err := Manifest(t.Context(), file(t, tarOf(t, tar.Header{Name: "./", Typeflag: dir}, tar.Header{Name: "./manifest", Typeflag: reg}))); err != nil {
		t.Errorf("as `tar c .` makes it: %v, %v", m, err)
	}
}

func FuzzCheckXZ(f *testing.F) {
	f.Add(xzOf(f, []byte("hello hello hello"), 4096))
	f.Add(xzMagic())
	f.Fuzz(func(t *testing.T, b []byte) {
		if checkXZ(bytes.NewReader(b), int64(len(b))) != nil {
			return
		}
		// What the walk takes, the decoder may refuse, but never with more memory than the limit.
		if r, err := xz.NewReader(bytes.NewReader(b)); err == nil {
			io.Copy(io.Discard, io.LimitReader(r, 1<<20))
		}
	})
}

func FuzzManifest(f *testing.F) {
	f.Add(tarOf(f, tar.Header{Name: "manifest", Typeflag: tar.TypeReg}))
	f.Add(gz(tarOf(f, tar.Header{Name: "rootfs/x", Typeflag: tar.TypeReg})))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := open(t.Context(), bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		findManifest(NewReader(io.LimitReader(r, 1<<20)))
	})
}
