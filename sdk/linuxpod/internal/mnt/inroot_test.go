package mnt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func openDir(t *testing.T, dir string) int {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func where(t *testing.T, fd int) string {
	t.Helper()
	name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func TestEnsure(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	for _, d := range []string{"real/deep", "etc"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{
		"abs": "/real", "rel": "real/deep", "dangling": "/made/here", "outside": "/tmp", "upwards": "../../../..", "loop": "loop",
		"one": "two", "two": "/three/./x", "real/deep/up": "../../sibling",
	} {
		if err := os.Symlink(to, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	fd := openDir(t, root)
	for _, tc := range []struct {
		target string
		dir    bool
		want   string // below root; empty: refused
	}{
		{"/", true, ""}, // itself: the root is no target by name, but resolves
		{"/real", true, "real"},
		{"/a/b/c", true, "a/b/c"},
		{"/a/b/f", false, "a/b/f"},
		{"/abs/x", true, "real/x"},
		{"/rel/y", false, "real/deep/y"},
		{"/dangling", true, "made/here"},
		{"/dangling/more", true, "made/here/more"},
		{"/outside/x", true, "tmp/x"},
		{"/upwards/z", true, "z"},
		{"/one", true, "three/x"},
		{"/rel/up", true, "sibling"},
		{"/../../q", true, "q"},
		{"/file", false, "file"},
		{"/file", true, ""},
		{"/etc", false, ""},
		{"/file/x", true, ""},
		{"/loop", true, ""},
		{"/loop/x", true, ""},
	} {
		got, err := Ensure(fd, tc.target, tc.dir)
		if tc.target == "/" {
			if err != nil || where(t, got) != root {
				t.Errorf("Ensure(/) = %v", err)
			}
			continue
		}
		switch {
		case tc.want == "" && err == nil:
			t.Errorf("Ensure(%q, %t) = %s", tc.target, tc.dir, where(t, got))
		case tc.want != "" && err != nil:
			t.Errorf("Ensure(%q, %t): %v", tc.target, tc.dir, err)
		case tc.want != "" && where(t, got) != filepath.Join(root, tc.want):
			t.Errorf("Ensure(%q, %t) = %s, want %s", tc.target, tc.dir, where(t, got), tc.want)
		}
		if err == nil {
			unix.Close(got)
		}
	}
	if st, err := os.Stat(filepath.Join(root, "a/b")); err != nil || st.Mode().Perm() != 0o755 {
		t.Errorf("made directory: %v %v", st, err)
	}
	if _, err := Open(fd, "/proc/self/root", unix.O_PATH); err == nil {
		t.Error("opened a magic link")
	}
}

// An app that shares a volume swaps a directory and a symlink while another app's mounts are set up.
func TestEnsureRace(t *testing.T) {
	base := t.TempDir()
	root, outside := filepath.Join(base, "root"), filepath.Join(base, "outside")
	for _, d := range []string{root + "/vol/dir", outside} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"up": "../../../../../../../" + outside, "abs": outside} {
		if err := os.Symlink(to, filepath.Join(root, "vol", name)); err != nil {
			t.Fatal(err)
		}
	}
	fd, vol := openDir(t, root), openDir(t, root+"/vol")
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			with := []string{"up", "abs"}[i%2]
			_ = unix.Renameat2(vol, "dir", vol, with, unix.RENAME_EXCHANGE)
			_ = unix.Renameat2(vol, "dir", vol, with, unix.RENAME_EXCHANGE)
		}
	}()
	inside := 0
	for i := range 5000 {
		got, err := Ensure(fd, fmt.Sprintf("/vol/dir/x%d/y", i%7), true)
		if err != nil {
			if errors.Is(err, unix.EMFILE) {
				t.Fatal(err)
			}
			continue
		}
		if !strings.HasPrefix(where(t, got), root+"/") {
			t.Fatalf("round %d led to %s", i, where(t, got))
		}
		inside++
		unix.Close(got)
	}
	close(stop)
	<-stopped
	if names, err := os.ReadDir(outside); err != nil || len(names) > 0 {
		t.Errorf("outside has %v %v", names, err)
	}
	t.Logf("%d of 5000 rounds resolved", inside)
}

func FuzzEnsure(f *testing.F) {
	f.Add("/a/b", "../../..", "/etc/../x")
	f.Add("a//b/./c", "/", "")
	f.Add("l/l/l", "l/../..", "..")
	f.Fuzz(func(t *testing.T, target, link, nested string) {
		base := t.TempDir()
		root := filepath.Join(base, "root")
		if err := os.MkdirAll(filepath.Join(root, "d"), 0o755); err != nil {
			t.Fatal(err)
		}
		_ = os.Symlink(link, filepath.Join(root, "l"))
		_ = os.Symlink(nested, filepath.Join(root, "d/l"))
		dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(dir)
		for _, tgt := range []string{target, "/l/" + target, "d/l/" + target} {
			fd, err := Ensure(dir, tgt, true)
			if err != nil {
				continue
			}
			if got := where(t, fd); got != root && !strings.HasPrefix(got, root+"/") {
				t.Errorf("Ensure(%q) = %s", tgt, got)
			}
			unix.Close(fd)
		}
		if names, err := os.ReadDir(base); err != nil || len(names) != 1 {
			t.Errorf("beside root: %v %v", names, err)
		}
	})
}
