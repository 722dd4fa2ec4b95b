package initramfs

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rkt/rkt/v2/sdk/vmhost/kernel"
)

func contents(t *testing.T) Contents {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"init": "the guest program", "modules.dep": "fs/b.ko: fs/a.ko\nfs/a.ko:\n", "modules.builtin": "", "fs/a.ko": "A", "fs/b.ko": "BB",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Contents{Init: filepath.Join(dir, "init"), Kernel: kernel.Kernel{Modules: dir, Version: "1"}, Modules: []string{"b"}}
}

// unpack reads the format as the kernel does: fields of eight hexadecimal digits, everything on four bytes.
func unpack(t *testing.T, b []byte) map[string]string {
	t.Helper()
	out := map[string]string{}
	for off := 0; ; {
		h := b[off:]
		if string(h[:6]) != "070701" {
			t.Fatalf("no header at %d", off)
		}
		field := func(i int) int {
			n, err := strconv.ParseUint(string(h[6+8*i:14+8*i]), 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			return int(n)
		}
		name := string(h[110 : 110+field(11)-1])
		if name == "TRAILER!!!" {
			return out
		}
		data := (off + 110 + field(11) + 3) &^ 3
		out[name] = fmt.Sprintf("%o %d:%d %s", field(1), field(9), field(10), b[data:data+field(6)])
		off = (data + field(6) + 3) &^ 3
	}
}

func TestCached(t *testing.T) {
	c, dir := contents(t), filepath.Join(t.TempDir(), "cache")
	var wg sync.WaitGroup
	paths := make([]string, 8)
	for i := range paths { // several rkt at once
		wg.Go(func() {
			var err error
			if paths[i], err = Cached(dir, c); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, p := range paths {
		if p != paths[0] {
			t.Fatalf("%s and %s for the same contents", p, paths[0])
		}
	}
	if names, _ := os.ReadDir(dir); len(names) != 1 {
		t.Errorf("left in the cache: %v", names)
	}
	f, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(f))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	got := unpack(t, b)
	for name, want := range map[string]string{
		"init": "100755 0:0 the guest program", "dev/console": "20600 5:1 ", "dev/null": "20666 1:3 ", "proc": "40755 0:0 ",
		"modules/000-a.ko": "100644 0:0 A", "modules/001-b.ko": "100644 0:0 BB", "modules/order": "100644 0:0 000-a.ko\n001-b.ko\n",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	if err := os.WriteFile(c.Init, []byte("another program"), 0o644); err != nil {
		t.Fatal(err)
	}
	if p, err := Cached(dir, c); err != nil || p == paths[0] {
		t.Errorf("another guest program has the archive of the old one: %v", err)
	}
}

func TestMissing(t *testing.T) {
	c := contents(t)
	c.Modules = []string{"c"}
	if _, err := Cached(t.TempDir(), c); err == nil || !strings.Contains(err.Error(), "no module c") {
		t.Errorf("a module that is not there: %v", err)
	}
	c = contents(t)
	if err := os.Remove(c.Init); err != nil {
		t.Fatal(err)
	}
	if _, err := Cached(t.TempDir(), c); err == nil {
		t.Error("no guest program, no error")
	}
}
