package engine

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/go-digest"

	"github.com/rkt/rkt/v2/core/image"
)

func TestTrustName(t *testing.T) {
	for in, want := range map[string]string{
		"aci://example.com/app:1.0,os=linux,arch=amd64": "example.com/app",
		"aci://example.com/app,version=1:2":             "example.com/app",
		"aci://example.com:8080/app":                    "example.com:8080/app",
		"aci://example.com:8080/app:1":                  "example.com:8080/app",
		"docker://docker.io/library/x:latest":           "docker.io/library/x",
		"path:///srv/images/x":                          "srv/images/x",
		"example.com/app":                               "example.com/app",
		"":                                              "",
	} {
		if got := trustName(in); got != want {
			t.Errorf("trustName(%q) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{"example.com:80/a/b": "example.com/a/b", "example.com/a": "example.com/a", "h:1": "h", "a/b:c": "a/b:c"} {
		if got := withoutPort(in); got != want {
			t.Errorf("withoutPort(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestNames(t *testing.T) {
	ref, err := image.Parse("docker://alpine")
	if err != nil {
		t.Fatal(err)
	}
	if got := names(ref, ref.String()); !slices.Equal(got, []string{ref.String()}) {
		t.Errorf("%q", got)
	}
	if got := names(ref, ""); !slices.Equal(got, []string{ref.String()}) {
		t.Errorf("%q", got)
	}
	if got := names(ref, "docker://other"); !slices.Equal(got, []string{"docker://other", ref.String()}) {
		t.Errorf("%q", got)
	}
}

func TestQuantities(t *testing.T) {
	for _, c := range []struct {
		in    string
		bytes int64 // 0: refused
		milli int64
	}{
		{"4096", 4096, 4096000},
		{"512Mi", 512 << 20, 512 << 20 * 1000},
		{"1G", 1e9, 1e12},
		{"1k", 0, 1e6},
		{"8K", 8000, 8e6},
		{"1.5Gi", 3 << 29, 3 << 29 * 1000},
		{"0.1", 0, 100},
		{"500m", 0, 500},
		{"10m", 0, 10},
		{"9m", 0, 0},
		{"0.0095", 0, 10}, // rounded up
		{"8Ei", 0, 0},
		{"7Ei", 7 << 60, 0},
		{"", 0, 0}, {".", 0, 0}, {"-1", 0, 0}, {"+5000", 0, 0}, {"1e9", 0, 0}, {"0x1000", 0, 0}, {"1 Mi", 0, 0}, {"1mi", 0, 0}, {"Mi", 0, 0},
		{"1.2.3", 0, 0}, {"5/0", 0, 0}, {strings.Repeat("9", 40), 0, 0},
	} {
		if n, err := ParseBytes(c.in); n != c.bytes || (err == nil) != (c.bytes > 0) {
			t.Errorf("ParseBytes(%q) = %d, %v, want %d", c.in, n, err, c.bytes)
		}
		if n, err := ParseMillis(c.in); n != c.milli || (err == nil) != (c.milli > 0) {
			t.Errorf("ParseMillis(%q) = %d, %v, want %d", c.in, n, err, c.milli)
		}
	}
	if _, err := ParseBytes("512m"); err == nil || !strings.Contains(err.Error(), "Mi") {
		t.Errorf("docker's suffix: %v", err)
	}
}

func FuzzQuantity(f *testing.F) {
	for _, s := range []string{"1", "512Mi", "1.5", "500m", "9223372036854775807", "0.000000000000000000001E", ".5", "1."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := ParseBytes(s); (err == nil) != (n >= 4096) || n == math.MaxInt64 {
			t.Fatalf("ParseBytes(%q) = %d, %v", s, n, err)
		}
		if n, err := ParseMillis(s); (err == nil) != (n >= 10) || n == math.MaxInt64 {
			t.Fatalf("ParseMillis(%q) = %d, %v", s, n, err)
		}
	})
}

func TestSaveUUID(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "uuid")
	read := func(path string) string {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if err := saveUUID("", "x"); err != nil {
		t.Error(err)
	}
	for _, id := range []string{"one", "two"} {
		if err := saveUUID(file, id); err != nil || read(file) != id {
			t.Errorf("%q, %v", read(file), err)
		}
	}
	if fi, err := os.Stat(file); err != nil || fi.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("uuid", link); err != nil {
		t.Fatal(err)
	}
	if err := saveUUID(link, "three"); err != nil || read(file) != "three" {
		t.Errorf("through a symlink: %q, %v", read(file), err)
	}
	if fi, err := os.Lstat(link); err != nil || fi.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the symlink is %v, %v", fi.Mode(), err)
	}
	// What names another pod by now, or is no file, stays; what names the pod that never was goes.
	forgetUUID(link, "two")
	forgetUUID(os.DevNull, "")
	forgetUUID("", "three")
	if read(file) != "three" {
		t.Error("a file that names another pod was removed")
	}
	forgetUUID(link, "three")
	if _, err := os.Lstat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file of a pod that never was: %v", err)
	}
	if err := saveUUID(os.DevNull, "x"); err != nil {
		t.Error(err)
	}
	if fi, err := os.Lstat(os.DevNull); err != nil || fi.Mode().IsRegular() {
		t.Fatalf("%s is %v, %v", os.DevNull, fi.Mode(), err)
	}
	if err := saveUUID(filepath.Join(dir, "no", "such"), "x"); err == nil || !strings.Contains(err.Error(), "save pod UUID") {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left %v, %v", left, err)
	}
}

// A fetcher that cannot be trusted may leave anything where a key should be.
func TestReadKey(t *testing.T) {
	layout := t.TempDir()
	blobs := filepath.Join(layout, "blobs", "sha256")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		t.Fatal(err)
	}
	good := digest.FromString("key")
	if err := os.WriteFile(filepath.Join(blobs, good.Encoded()), []byte("key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := readKey(layout, good.String()); err != nil || string(b) != "key" {
		t.Errorf("%q, %v", b, err)
	}
	fifo, link, wrong, large := digest.FromString("fifo"), digest.FromString("link"), digest.FromString("wrong"), digest.FromString("large")
	if err := unix.Mkfifo(filepath.Join(blobs, fifo.Encoded()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(blobs, link.Encoded())); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(blobs, wrong.Encoded()), []byte("key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(blobs, large.Encoded()), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(blobs, large.Encoded()), maxKey+1); err != nil {
		t.Fatal(err)
	}
	for d, want := range map[string]string{
		fifo.String(): "not a regular file", link.String(): "symbolic links", wrong.String(): "its digest is",
		large.String(): "larger than", digest.FromString("none").String(): "no such file", "sha256:../../x": "read public key", "": "read public key",
	} {
		if _, err := readKey(layout, d); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "%!") {
			t.Errorf("%s: %v, want %q", d, err, want)
		}
	}
}
