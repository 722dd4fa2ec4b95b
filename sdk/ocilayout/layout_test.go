package ocilayout

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

func describe(b []byte) Descriptor {
	s := sha256.Sum256(b)
	return Descriptor{MediaType: "application/octet-stream", Digest: "sha256:" + hex.EncodeToString(s[:]), Size: int64(len(b))}
}

func open(t *testing.T) *Layout {
	t.Helper()
	l, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// blobs lists what is below blobs/, relative to it.
func blobs(t *testing.T, l *Layout) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(filepath.Join(l.Dir(), "blobs"), func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, strings.TrimPrefix(p, l.Dir()+"/blobs/"))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestBlob(t *testing.T) {
	data := bytes.Repeat([]byte("layer"), 100_000)
	s512 := sha512.Sum512(data)
	good := describe(data)
	tests := []struct {
		name string
		want Descriptor
		data []byte
		err  error
		left string // suffix of the only file that may be there afterwards
	}{
		{"sha256", good, data, nil, strings.TrimPrefix(good.Digest, "sha256:")},
		{"sha512", Descriptor{Digest: "sha512:" + hex.EncodeToString(s512[:])}, data, nil, hex.EncodeToString(s512[:])},
		{"unnamed", Descriptor{}, data, nil, strings.TrimPrefix(good.Digest, "sha256:")},
		{"empty", Descriptor{Digest: describe(nil).Digest}, nil, nil, strings.TrimPrefix(describe(nil).Digest, "sha256:")},
		{"wrong bytes", good, bytes.Repeat([]byte("LAYER"), 100_000), ErrMismatch, ""},
		{"too many", good, append(bytes.Clone(data), 'x'), ErrMismatch, ".partial"},
		{"too few", good, data[:1000], io.ErrUnexpectedEOF, ".partial"},
		{"unknown algorithm", Descriptor{Digest: "md5:d41d8cd98f00b204e9800998ecf8427e"}, nil, ErrDigest, ""},
		{"digest leaves the directory", Descriptor{Digest: "sha256:../../../../etc/passwd"}, nil, ErrDigest, ""},
		{"upper case", Descriptor{Digest: strings.ToUpper(good.Digest)}, nil, ErrDigest, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := open(t)
			os.MkdirAll(filepath.Join(l.Dir(), "blobs"), 0o755)
			last := int64(-1)
			got, err := l.Blob(t.Context(), tt.want, bytes.NewReader(tt.data), func(done, total int64) {
				if done < last {
					t.Errorf("progress fell from %d to %d", last, done)
				}
				last = done
			})
			if !errors.Is(err, tt.err) {
				t.Fatalf("error is %v, want %v", err, tt.err)
			}
			left := blobs(t, l)
			if tt.left == "" && len(left) != 0 || tt.left != "" && (len(left) != 1 || !strings.HasSuffix(left[0], tt.left)) {
				t.Errorf("left behind: %q", left)
			}
			if err != nil {
				return
			}
			if got.Size != int64(len(tt.data)) || (tt.want.Digest != "" && got.Digest != tt.want.Digest) {
				t.Errorf("descriptor is %+v", got)
			}
			if ok, err := l.Has(t.Context(), got); err != nil || !ok {
				t.Errorf("Has: %v, %v", ok, err)
			}
			// The reader is not touched when the blob is there.
			if _, err := l.Blob(t.Context(), got, iotest.ErrReader(errors.New("read")), nil); err != nil {
				t.Errorf("again: %v", err)
			}
		})
	}
}

func TestResume(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), 100_000)
	d := describe(data)
	l := open(t)
	broken := io.MultiReader(bytes.NewReader(data[:400_000]), iotest.ErrReader(errors.New("connection reset")))
	if _, err := l.Blob(t.Context(), d, broken, nil); err == nil {
		t.Fatal("a broken reader made a blob")
	}
	if ok, _ := l.Has(t.Context(), d); ok {
		t.Fatal("half a blob is visible")
	}
	off := l.ResumeOffset(d)
	if off != 400_000 {
		t.Fatalf("resume at %d", off)
	}
	if _, err := l.BlobAt(t.Context(), d, off-1, bytes.NewReader(nil), nil); err == nil {
		t.Error("a reader that starts elsewhere was accepted")
	}
	first := int64(-1)
	got, err := l.BlobAt(t.Context(), d, off, bytes.NewReader(data[off:]), func(done, _ int64) {
		if first < 0 {
			first = done
		}
	})
	if err != nil || got.Digest != d.Digest {
		t.Fatalf("resumed: %+v, %v", got, err)
	}
	if first <= off {
		t.Errorf("progress began at %d", first)
	}
}

func TestResumeOfDamagedPartial(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), 1000)
	d := describe(data)
	l := open(t)
	w, err := l.Create(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(make([]byte, 5000)) // zeros, as after a power loss
	w.Close()
	if w, err = l.Create(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if w.Offset() != 5000 || !w.Resumed() {
		t.Fatalf("offset %d, resumed %v", w.Offset(), w.Resumed())
	}
	w.Write(data[5000:])
	if _, err := w.Commit(); !errors.Is(err, ErrMismatch) {
		t.Fatalf("commit: %v", err)
	}
	if n := l.ResumeOffset(d); n != 0 {
		t.Fatalf("the damaged partial is still there: %d bytes", n)
	}
}

func TestPartialThatIsTooLong(t *testing.T) {
	data := []byte("short")
	d := describe(data)
	l := open(t)
	w, err := l.Create(t.Context(), Descriptor{Digest: d.Digest})
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte("much longer than that"))
	w.Close()
	if n := l.ResumeOffset(d); n != 0 {
		t.Errorf("resume at %d", n)
	}
	if w, err = l.Create(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if w.Offset() != 0 {
		t.Errorf("offset %d", w.Offset())
	}
	w.Write(data)
	if _, err := w.Commit(); err != nil {
		t.Error(err)
	}
}

func TestOneWriterPerBlob(t *testing.T) {
	l := open(t)
	d := describe([]byte("x"))
	w, err := l.Create(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Create(t.Context(), d); err == nil {
		t.Fatal("two writers of one blob")
	}
	w.Close()
	w2, err := l.Create(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	w2.Close()
}

func TestDamagedBlobIsDropped(t *testing.T) {
	data := []byte("whole")
	l := open(t)
	d, err := l.Blob(t.Context(), describe(data), bytes.NewReader(data), nil)
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(filepath.Join(l.Dir(), "blobs", strings.Replace(d.Digest, ":", "/", 1)), []byte("hol"), 0o644)
	again, err := Open(l.Dir())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if ok, err := again.Has(t.Context(), d); ok || err != nil {
		t.Fatalf("Has: %v, %v", ok, err)
	}
	if left := blobs(t, l); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestOpenSweepsUnnamed(t *testing.T) {
	l := open(t)
	live, err := l.Create(t.Context(), Descriptor{})
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	dead := filepath.Join(l.Dir(), "blobs/sha256/new-DEAD.partial")
	os.WriteFile(dead, []byte("x"), 0o644)
	again, err := Open(l.Dir())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if left := blobs(t, l); len(left) != 1 || strings.Contains(left[0], "DEAD") {
		t.Errorf("left: %q", left)
	}
}

func TestSymlinkInTheWay(t *testing.T) {
	l := open(t)
	outside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(l.Dir(), "blobs")); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Blob(t.Context(), Descriptor{}, strings.NewReader("x"), nil); err == nil {
		t.Error("written through a symlink")
	}
	if got, _ := os.ReadDir(outside); len(got) != 0 {
		t.Errorf("outside: %v", got)
	}
}

func TestFile(t *testing.T) {
	data := bytes.Repeat([]byte("file"), 200_000)
	src := filepath.Join(t.TempDir(), "src")
	os.WriteFile(src, data, 0o600)
	l := open(t)
	f, err := os.Open(src)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	bad := describe(data)
	bad.Digest = describe([]byte("other")).Digest
	if _, err := l.File(t.Context(), bad, f, nil); !errors.Is(err, ErrMismatch) {
		t.Errorf("wrong digest: %v", err)
	}
	if _, err := f.Seek(3, io.SeekStart); err != nil { // whoever read it before
		t.Fatal(err)
	}
	d, err := l.File(t.Context(), describe(data), f, nil)
	if err != nil || d.Digest != describe(data).Digest {
		t.Fatalf("%+v, %v", d, err)
	}
	b, err := l.OpenBlob(d.Digest)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if got, _ := io.ReadAll(b); !bytes.Equal(got, data) {
		t.Error("other bytes")
	}
}

func TestCancel(t *testing.T) {
	l := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	endless := readerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil })
	if _, err := l.Blob(ctx, Descriptor{}, endless, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("error is %v", err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestDone(t *testing.T) {
	l := open(t)
	if err := l.Done(); err == nil {
		t.Error("an index of nothing")
	}
	d := describe([]byte("{}"))
	d.Annotations = map[string]string{"org.opencontainers.image.ref.name": "latest"}
	for range 2 {
		if err := l.Done(d); err != nil {
			t.Fatal(err)
		}
	}
	var idx struct {
		SchemaVersion int
		MediaType     string
		Manifests     []Descriptor
	}
	b, err := os.ReadFile(filepath.Join(l.Dir(), "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &idx); err != nil {
		t.Fatal(err)
	}
	if idx.SchemaVersion != 2 || len(idx.Manifests) != 1 || idx.Manifests[0].Digest != d.Digest {
		t.Errorf("index is %s", b)
	}
	if b, _ := os.ReadFile(filepath.Join(l.Dir(), "oci-layout")); string(b) != `{"imageLayoutVersion":"1.0.0"}` {
		t.Errorf("oci-layout is %s", b)
	}
}

func FuzzSplitDigest(f *testing.F) {
	f.Add("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
	f.Add("sha512:../../x")
	f.Add("sha256:")
	f.Fuzz(func(t *testing.T, s string) {
		alg, hexa, err := SplitDigest(s)
		if err == nil && (alg+":"+hexa != s || !filepath.IsLocal(hexa) || strings.ContainsAny(hexa, "/.\x00")) {
			t.Errorf("%q was taken", s)
		}
	})
}
