package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	long := strings.Repeat("n", 255)
	for _, name := range []string{"a", "a.json", long} {
		for _, content := range []string{"one", "", "three"} {
			if err := Write(filepath.Join(dir, name), []byte(content), 0o664); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil || string(got) != content {
				t.Fatalf("read %.10s: %q, %v; want %q", name, got, err, content)
			}
			fi, _ := os.Stat(filepath.Join(dir, name))
			if fi.Mode().Perm() != 0o664 {
				t.Errorf("mode is %v", fi.Mode())
			}
		}
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != 3 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestWriteErrors(t *testing.T) {
	dir := t.TempDir()
	if err := Write(filepath.Join(dir, "none", "x"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing directory: %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Write(filepath.Join(dir, "d"), []byte("x"), 0o600); err == nil {
		t.Error("a directory was replaced")
	}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if IsTemp(e.Name()) {
			t.Errorf("left %s", e.Name())
		}
	}
	if err := Remove(filepath.Join(dir, "absent")); err != nil {
		t.Errorf("remove what is gone: %v", err)
	}
}

// A reader beside two writers sees one of the contents, whole.
func TestWriteConcurrent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	a, b := strings.Repeat("a", 10000), strings.Repeat("b", 20000)
	if err := Write(path, []byte(a), 0o600); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, s := range []string{a, b} {
		wg.Go(func() {
			for range 50 {
				if err := Write(path, []byte(s), 0o600); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for {
		got, err := os.ReadFile(path)
		if err != nil || (string(got) != a && string(got) != b) {
			t.Fatalf("torn read of %d bytes, %v", len(got), err)
		}
		select {
		case <-done:
			return
		default:
		}
	}
}
