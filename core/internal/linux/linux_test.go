package linux

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestOpenBeneath(t *testing.T) {
	base := t.TempDir()
	write(t, filepath.Join(base, "secret"), "outside")
	in := filepath.Join(base, "in")
	for _, d := range []string{"in/sub/dir"} {
		if err := os.MkdirAll(filepath.Join(base, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(in, "sub/file"), "inside")
	links := map[string]string{"link": "sub/file", "abs": "/etc/passwd", "up": "../secret", "dirlink": "sub"}
	for name, to := range links {
		if err := os.Symlink(to, filepath.Join(in, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(in, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir, err := OpenDir(in)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	for _, c := range []struct {
		name string
		want error
	}{
		{"sub/file", nil},
		{"link", unix.ELOOP},
		{"abs", unix.ELOOP},
		{"up", unix.ELOOP},
		{"dirlink/file", unix.ELOOP},
		{"../secret", unix.EXDEV},
		{"/etc/passwd", unix.EXDEV},
		{"fifo", ErrNotRegular},
		{"sub/dir", ErrNotRegular},
		{"none", fs.ErrNotExist},
	} {
		f, _, err := OpenBeneath(dir, c.name)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if err == nil {
			f.Close()
		}
	}
}

func TestLocks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	write(t, path, "")
	a, b := open(t, path), open(t, path)
	if err := TryLockShared(a); err != nil {
		t.Fatal(err)
	}
	if err := TryLockShared(b); err != nil {
		t.Fatal(err)
	}
	if err := TryLock(b); !errors.Is(err, ErrLocked) {
		t.Fatalf("exclusive beside shared: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
	defer cancel()
	if err := Lock(ctx, b); !errors.Is(err, ErrLocked) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("wait: %v", err)
	}
	if err := Unlock(a); err != nil {
		t.Fatal(err)
	}
	if err := Lock(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+"2"); err != nil {
		t.Fatal(err)
	}
	if SameFile(b, path) || !SameFile(b, path+"2") {
		t.Error("SameFile does not notice a rename")
	}
}

func TestRenameNoReplace(t *testing.T) {
	dir := t.TempDir()
	for _, n := range []string{"a", "b"} {
		if err := os.Mkdir(filepath.Join(dir, n), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := RenameNoReplace(filepath.Join(dir, "a"), filepath.Join(dir, "b")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("onto an empty directory: %v", err)
	}
	if err := RenameNoReplace(filepath.Join(dir, "a"), filepath.Join(dir, "c")); err != nil {
		t.Error(err)
	}
}

func TestRemoveAll(t *testing.T) {
	base := t.TempDir()
	keep := filepath.Join(base, "keep")
	write(t, keep, "x")
	tree := filepath.Join(base, "tree")
	if err := os.MkdirAll(filepath.Join(tree, "locked", "below"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"l1": "../keep", "l2": "/", "l3": base} {
		if err := os.Symlink(to, filepath.Join(tree, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(tree, "locked"), 0); err != nil {
		t.Fatal(err)
	}
	// 3000 levels: deeper than any default descriptor limit, longer than PATH_MAX.
	fd, err := unix.Open(tree, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 3000 {
		if err := unix.Mkdirat(fd, "deeper", 0o755); err != nil {
			t.Fatal(err)
		}
		next, err := unix.Openat(fd, "deeper", unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		unix.Close(fd)
		if err != nil {
			t.Fatal(err)
		}
		fd = next
	}
	unix.Close(fd)
	if err := RemoveAll(tree); err != nil {
		t.Fatal(err)
	}
	if err := RemoveAll(tree); err != nil {
		t.Fatalf("again: %v", err)
	}
	entries, _ := os.ReadDir(base)
	if len(entries) != 1 || entries[0].Name() != "keep" {
		t.Errorf("left: %v", entries)
	}
}

func write(t *testing.T, path, s string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}
