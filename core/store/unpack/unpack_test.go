package unpack

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// The child of these tests is the test binary itself.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == Verb {
		os.Exit(Main(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// ent is a tar header with content, short to write in tables.
type ent struct {
	tar.Header
	data string
}

var epoch = time.Unix(1_000_000_000, 0)

func reg(name, data string) ent {
	return ent{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(data)), ModTime: epoch}, data}
}
func dir(name string) ent {
	return ent{tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o755, ModTime: epoch}, ""}
}
func sym(name, to string) ent {
	return ent{tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to, Mode: 0o777, ModTime: epoch}, ""}
}
func link(name, to string) ent {
	return ent{tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: to, Mode: 0o644, ModTime: epoch}, ""}
}
func dev(name string, typ byte, major, minor int64) ent {
	return ent{tar.Header{Name: name, Typeflag: typ, Devmajor: major, Devminor: minor, Mode: 0o666, ModTime: epoch}, ""}
}
func (e ent) with(f func(*tar.Header)) ent { f(&e.Header); return e }

func archive(t testing.TB, entries ...ent) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := range entries {
		if err := w.WriteHeader(&entries[i].Header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(entries[i].data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gz(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zst(t testing.TB, b []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(b, nil)
}

// unpackTo runs a job on a fresh directory, whose surroundings must be the same afterwards.
func unpackTo(t testing.TB, blob []byte, lim Limits) (string, *Result, error) {
	t.Helper()
	base := t.TempDir()
	d := filepath.Join(base, "diff")
	if err := os.Mkdir(d, 0o755); err != nil {
		t.Fatal(err)
	}
	j, err := os.Create(filepath.Join(base, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	res, err := Run(context.Background(), Job{Dir: d, Blob: bytes.NewReader(blob), Journal: j, Algorithm: "sha256", Limits: lim})
	return d, res, err
}

func TestCompressions(t *testing.T) {
	plain := archive(t, dir("d"), reg("d/f", "hello"), reg("implicit/deep/f", "x"), sym("l", "d/f"))
	want := fmt.Sprintf("sha256:%x", sha256.Sum256(plain))
	for name, blob := range map[string][]byte{"plain": plain, "gzip": gz(t, plain), "zstd": zst(t, plain)} {
		t.Run(name, func(t *testing.T) {
			d, res, err := unpackTo(t, blob, Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if res.DiffID != want || res.Entries != 4 || res.Size != 6 {
				t.Errorf("%+v", res)
			}
			if b, err := os.ReadFile(filepath.Join(d, "l")); string(b) != "hello" {
				t.Errorf("%q, %v", b, err)
			}
			if fi, err := os.Stat(filepath.Join(d, "d")); err != nil || !fi.ModTime().Equal(epoch) {
				t.Errorf("%v, %v", fi, err)
			}
		})
	}
}
