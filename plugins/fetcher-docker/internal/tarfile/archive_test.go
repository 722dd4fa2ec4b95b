package tarfile

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/fault"
	"github.com/rkt/rkt/v2/proto/reason"
)

// pack makes an archive of headers; the body of a file is its name, repeated to its size.
func pack(t testing.TB, headers ...*tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		h.Mode = 0o644
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			w.Write(bytes.Repeat([]byte(h.Name), int(h.Size))[:h.Size])
		}
	}
	w.Close()
	return b.Bytes()
}

func file(name string, size int64) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size}
}

func link(name, to string) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to}
}

func open(t testing.TB, b []byte) (*Archive, error) {
	t.Helper()
	fd, err := unix.MemfdCreate("archive", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "archive")
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return Open(context.Background(), f)
}

func gz(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

func zst(b []byte, o ...zstd.EOption) []byte {
	w, _ := zstd.NewWriter(nil, o...)
	return w.EncodeAll(b, nil)
}

func TestArchive(t *testing.T) {
	long := strings.Repeat("d/", 200) + "file"
	raw := pack(t, file("./a", 3), file("dir/b", 700), link("l1", "dir/b"), link("dir/l2", "../l1"), link("abs", "/a"),
		&tar.Header{Typeflag: tar.TypeLink, Name: "hard", Linkname: "dir/b"}, file(long, 5), file("twice", 1), file("twice", 2),
		link("loop", "loop"), link("out", "../../../etc/passwd"), &tar.Header{Typeflag: tar.TypeDir, Name: "dir/"}, file("empty", 0))
	for how, b := range map[string][]byte{"plain": raw, "gzip": gz(raw), "zstd": zst(raw)} {
		t.Run(how, func(t *testing.T) {
			a, err := open(t, b)
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range map[string]string{
				"a": "./a", "./a": "./a", "/a": "./a", "abs": "./a", "l1": "dir/b", "dir/l2": "dir/b", "hard": "dir/b",
				"dir/../a": "./a", long: long, "twice": "twice", "empty": "",
			} {
				f, err := a.Lookup(name)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				b, err := a.Document(t.Context(), name)
				if err != nil || int64(len(b)) != f.Size || !strings.HasPrefix(strings.Repeat(want, 300), string(b)) {
					t.Errorf("%s: %q, %v", name, b, err)
				}
			}
			if f, _ := a.Lookup("twice"); f.Size != 2 {
				t.Errorf("twice: %d bytes", f.Size)
			}
			for _, name := range []string{"loop", "out", "dir", "none", "etc/passwd"} {
				if f, err := a.Lookup(name); fault.ReasonOf(err) != reason.ImageInvalid {
					t.Errorf("%s: %v, %v", name, f, err)
				}
			}
			if _, err := a.Lookup("none"); !errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
			}
			var list []File
			for _, name := range []string{"l1", "a", "hard", "twice"} {
				f, _ := a.Lookup(name)
				list = append(list, f)
			}
			seen := map[string]int{}
			err = a.Each(t.Context(), list, func(f File, r io.Reader) error {
				n, err := io.Copy(io.Discard, r)
				if n != f.Size {
					t.Errorf("%s: %d bytes", f.Name, n)
				}
				seen[f.Name]++
				return err
			})
			if err != nil || len(seen) != 3 || seen["dir/b"] != 1 {
				t.Errorf("%v, %v", seen, err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if how != "plain" {
				if err := a.Each(ctx, list, func(File, io.Reader) error { return nil }); !errors.Is(err, context.Canceled) {
					t.Errorf("canceled: %v", err)
				}
			}
		})
	}
}

func TestArchiveRefuses(t *testing.T) {
	raw := pack(t, file("a", 5000))
	many := make([]*tar.Header, 0, maxEntries+1)
	for range maxEntries + 1 {
		many = append(many, file("x", 0))
	}
	// tar.Writer does not write such keys; one letter is changed afterwards.
	sparse := bytes.Replace(pack(t, &tar.Header{Typeflag: tar.TypeReg, Name: "s", PAXRecords: map[string]string{"GNUxsparse.name": "y"}}),
		[]byte("GNUxsparse"), []byte("GNU.sparse"), 1)
	for name, b := range map[string][]byte{
		"sparse":           sparse,
		"empty":            {},
		"rubbish":          bytes.Repeat([]byte("x"), 5000),
		"cut":              raw[:2000],
		"cut header":       raw[:100],
		"gzip cut":         gz(raw)[:40],
		"gzip of rubbish":  gz([]byte("rubbish")),
		"gzip header only": {0x1f, 0x8b},
		"xz":               []byte("\xfd7zXZ\x00\x00\x00"),
		"bzip2 rubbish":    []byte("BZh9rubbish"),
		"zstd window":      append([]byte(MagicZstd), 0x00, 0xff, 0x00, 0x00), // asks for more than 1 TiB
		"entries":          pack(t, many...),
		"name":             pack(t, file(strings.Repeat("n", maxName+1), 1)),
	} {
		if a, err := open(t, b); fault.ReasonOf(err) != reason.ImageInvalid {
			t.Errorf("%s: %v, %v", name, a, err)
		}
	}
	a, err := open(t, pack(t, file("big", 5<<20)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Document(t.Context(), "big"); fault.ReasonOf(err) != reason.ImageInvalid {
		t.Error(err)
	}
}

func FuzzOpen(f *testing.F) {
	raw := pack(f, file("manifest.json", 30), link("l", "manifest.json"), file(strings.Repeat("p/", 120)+"f", 3))
	f.Add(raw)
	f.Add(gz(raw))
	f.Add(zst(raw))
	f.Add([]byte("BZh9"))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := open(t, b)
		if err != nil {
			if fault.ReasonOf(err) == "" {
				t.Fatalf("%v has no reason", err)
			}
			return
		}
		for name := range a.entries {
			if d, err := a.Document(context.Background(), name); err == nil && len(d) > 4<<20 {
				t.Fatalf("%q: %d bytes", name, len(d))
			}
		}
		_, _ = a.Document(context.Background(), "l")
	})
}
