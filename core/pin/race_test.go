package pin

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/core/plugin"
)

// TestSwapRace: while the plugin's directory, or one of its files, changes place with another one's thousands of times,
// a copy is of one of them as a whole, and its name is the digest of what is in it.
func TestSwapRace(t *testing.T) {
	for _, what := range []string{"directory", "file"} {
		t.Run(what, func(t *testing.T) {
			p, e := setup(t)
			other := filepath.Join(t.TempDir(), "stage1-x")
			if err := os.CopyFS(other, os.DirFS(e.Dir)); err != nil {
				t.Fatal(err)
			}
			for name, text := range map[string]string{"plugin.json": strings.Replace(manifestJSON, "1.0.0", "6.6.6", 1), "rkt-stage1-x": "\x7fELF evil", "super": "evil"} {
				if err := os.WriteFile(filepath.Join(other, name), []byte(text), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			a, b := e.Dir, other
			if what == "file" {
				a, b = filepath.Join(a, "super"), filepath.Join(b, "super")
			}
			stop := make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					case <-time.After(time.Duration(i%20) * 100 * time.Microsecond): // from never still to long enough to be copied
					}
					if err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE); err != nil {
						t.Error(err)
						return
					}
				}
			})
			defer wg.Wait()
			defer close(stop)
			pinned := map[string]int{}
			for range 1000 {
				if d, err := p.Pin(e); err == nil {
					pinned[d]++
				} else if !errors.Is(err, plugin.ErrRefused) && !strings.Contains(err.Error(), "is being replaced") {
					t.Fatal(err)
				}
			}
			if len(pinned) == 0 {
				t.Error("nothing was pinned")
			}
			t.Logf("%v", pinned)
			for d := range pinned {
				sameAsNamed(t, p, d, what == "directory")
			}
		})
	}
}

// sameAsNamed holds a copy's bytes against its name. whole: it is the good one, not parts of two.
func sameAsNamed(t *testing.T, p *Pins, digest string, whole bool) {
	t.Helper()
	copied, err := p.Entry(digest)
	if err != nil {
		t.Fatal(err)
	}
	if _, got, err := p.Sums(copied); err != nil || got != digest {
		t.Errorf("%s holds %s, %v", digest, got, err)
	}
	b, err := os.ReadFile(filepath.Join(copied.Dir, "super"))
	if err != nil || copied.Manifest.Version != "1.0.0" || whole && string(b) != "two" {
		t.Errorf("%s: version %s with %q, %v", digest, copied.Manifest.Version, b, err)
	}
}

// The index is a shortcut to a digest: times that are put back, and a file of the same size in the place, are seen.
func TestIndexCannotBeFooled(t *testing.T) {
	p, e := setup(t)
	super := filepath.Join(e.Dir, "super")
	settle(t, e)
	d := mustPin(t, p, e)
	if got, err := p.Digest(e); err != nil || got != d {
		t.Fatal(got, err)
	}
	fi, err := os.Stat(super)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func() error{
		"written over":  func() error { return os.WriteFile(super, []byte("TWO"), 0o755) },
		"another inode": func() error { return os.WriteFile(super+"-new", []byte("tWo"), 0o755) },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if name == "another inode" {
			if err := os.Rename(super+"-new", super); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chtimes(super, fi.ModTime(), fi.ModTime()); err != nil {
			t.Fatal(err)
		}
		if got, err := p.Digest(e); err != nil || got == d {
			t.Errorf("%s: %s is taken for what it was, %v", name, got, err)
		}
		if got := mustPin(t, p, e); got == d {
			t.Errorf("%s: pinned as what it was", name)
		}
	}
}

// A warm start, with a lock or without one, reads no binary: what the index says is the answer, be it a lie.
func TestWarmDigestIsNotHashed(t *testing.T) {
	p, e := setup(t)
	settle(t, e)
	d := mustPin(t, p, e)
	idx := p.indexFile(e.Dir)
	b, err := os.ReadFile(idx)
	if err != nil {
		t.Fatal(err)
	}
	lie := strings.Repeat("a", 64)
	if err := errors.Join(os.WriteFile(idx, []byte(strings.Replace(string(b), d, lie, 1)), 0o644), os.Mkdir(filepath.Join(p.dir, lie), 0o755)); err != nil {
		t.Fatal(err)
	}
	if got, err := p.Digest(e); err != nil || got != lie {
		t.Errorf("Digest hashed: %s, %v", got, err)
	}
	if got := mustPin(t, p, e); got != lie {
		t.Errorf("Pin hashed: %s", got)
	}
}

// settle waits until the files are old enough for the index to believe their times.
func settle(t *testing.T, e *plugin.Entry) {
	t.Helper()
	for {
		files, err := plugin.Files(e, os.Geteuid(), true)
		if err != nil {
			t.Fatal(err)
		}
		src, err := stat(files)
		closeAll(files)
		if err != nil {
			t.Fatal(err)
		}
		young := false
		for _, s := range src {
			young = young || unsettled(s)
		}
		if !young {
			return
		}
	}
}
