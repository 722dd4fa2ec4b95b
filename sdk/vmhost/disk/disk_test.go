package disk

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func needs(t *testing.T, program string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("owners and devices are root's to make")
	}
	if _, err := tool(program, ""); err != nil {
		t.Skip(err)
	}
}

// layer makes a directory as the store has them: owners, a whiteout, an opaque directory.
func layer(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "sha256-0123456789abcdef0123456789abcdef", "diff")
	err := errors.Join(
		os.MkdirAll(filepath.Join(dir, "opaque"), 0o755),
		os.WriteFile(filepath.Join(dir, "file"), []byte("content"), 0o640),
		os.Chown(filepath.Join(dir, "file"), 1234, 4321),
		unix.Mknod(filepath.Join(dir, "gone"), unix.S_IFCHR, 0),
		unix.Setxattr(filepath.Join(dir, "opaque"), "trusted.overlay.opaque", []byte("y"), 0),
		os.Symlink("file", filepath.Join(dir, "link")),
	)
	if err != nil {
		t.Skip(err)
	}
	return dir
}

func mount(t *testing.T, image, fstype string) string {
	t.Helper()
	at := t.TempDir()
	if err := unix.Mount(image, at, fstype, unix.MS_RDONLY, ""); err != nil {
		t.Skipf("this kernel mounts no %s from a file: %v", fstype, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
	return at
}

func checkLayer(t *testing.T, dir string) {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(dir, "file"), &st); err != nil || st.Uid != 1234 || st.Gid != 4321 || st.Mode&0o7777 != 0o640 {
		t.Errorf("file: %+v, %v", st, err)
	}
	if err := unix.Lstat(filepath.Join(dir, "gone"), &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != 0 {
		t.Errorf("whiteout: %+v, %v", st, err)
	}
	b := make([]byte, 8)
	if n, err := unix.Getxattr(filepath.Join(dir, "opaque"), "trusted.overlay.opaque", b); err != nil || string(b[:n]) != "y" {
		t.Errorf("opaque directory: %q, %v", b, err)
	}
}

func TestLayer(t *testing.T) {
	needs(t, "mkfs.erofs")
	dir, cacheDir := layer(t), filepath.Join(t.TempDir(), "cache")
	var wg sync.WaitGroup
	paths := make([]string, 6)
	for i := range paths {
		wg.Go(func() {
			c, err := OpenCache(cacheDir)
			if err == nil {
				paths[i], err = c.Layer(context.Background(), dir)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if names, _ := os.ReadDir(cacheDir); len(names) != 1 || names[0].Name() != "sha256-0123456789abcdef0123456789abcdef.erofs" {
		t.Errorf("cache holds %v", names)
	}
	checkLayer(t, mount(t, paths[0], "erofs"))
}

func TestLayerFails(t *testing.T) {
	needs(t, "mkfs.erofs")
	cache, err := OpenCache(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "sha256-0123456789abcdef0123456789abcdef", "diff")
	if _, err := cache.Layer(context.Background(), file); err == nil {
		t.Error("a layer that is not there has an image")
	}
	if names, _ := os.ReadDir(cache.dir); len(names) != 0 {
		t.Errorf("left behind: %v", names)
	}
}

func TestCombined(t *testing.T) {
	needs(t, "mkfs.erofs")
	a, b := layer(t), layer(t)
	cache, err := OpenCache(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	image, err := cache.Combined(context.Background(), []string{a, b})
	if err != nil {
		t.Fatal(err)
	}
	if names, _ := os.ReadDir(cache.dir); len(names) != 1 {
		t.Errorf("cache holds %v", names)
	}
	at := mount(t, image, "erofs")
	checkLayer(t, filepath.Join(at, "0"))
	checkLayer(t, filepath.Join(at, "1"))
}

func TestUpper(t *testing.T) {
	needs(t, "mke2fs")
	cache, dir := filepath.Join(t.TempDir(), "cache"), t.TempDir()
	const size = 1 << 30
	for _, name := range []string{"a", "b"} {
		path := filepath.Join(dir, name)
		if err := Upper(context.Background(), cache, path, size); err != nil {
			t.Fatal(err)
		}
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil || st.Size != size || st.Blocks*512 > 8<<20 {
			t.Errorf("%s has %d bytes and takes %d, %v", name, st.Size, st.Blocks*512, err)
		}
		b := make([]byte, 2)
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.ReadAt(b, 1024+56); err != nil || b[0] != 0x53 || b[1] != 0xef {
			t.Errorf("%s has no ext4 superblock: % x, %v", name, b, err)
		}
		f.Close()
	}
	if names, _ := os.ReadDir(cache); len(names) != 1 {
		t.Errorf("cache holds %v", names)
	}
}
