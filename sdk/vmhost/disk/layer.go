package disk

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Cache is a directory of layer images.
type Cache struct{ dir string }

// OpenCache makes dir if need be.
func OpenCache(dir string) (*Cache, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make cache of layer images: %w", err)
	}
	return &Cache{dir: dir}, nil
}

const (
	imageExt   = ".erofs"
	partialExt = ".partial"
	// keep is how long an image that no pod has asked for stays.
	keep = 30 * 24 * time.Hour
)

// Layer returns the image of a layer directory of rkt's store, and makes it when it is the first to ask.
func (c *Cache) Layer(ctx context.Context, dir string) (string, error) {
	key, err := Key(dir)
	if err != nil {
		return "", err
	}
	path := filepath.Join(c.dir, key+imageExt)
	if c.use(path) {
		return path, nil
	}
	if err := c.make(ctx, path, func(ctx context.Context, image string) error { return mkfs(ctx, image, dir) }); err != nil {
		return "", fmt.Errorf("make disk image of layer %s: %w", key, err)
	}
	c.prune()
	return path, nil
}

// Key names a layer: by its digest, which the store has in the directory's name, or else by the directory itself.
func Key(dir string) (string, error) {
	name := filepath.Base(filepath.Dir(dir))
	if ok, _ := regexp.MatchString(`^[a-z0-9]+-[0-9a-f]{32,128}$`, name); ok && filepath.Base(dir) == "diff" {
		return name, nil
	}
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return "", &os.PathError{Op: "stat", Path: dir, Err: err}
	}
	h := sha256.Sum256(fmt.Appendf(nil, "%s\n%d %d %d.%d", dir, st.Dev, st.Ino, st.Ctim.Sec, st.Ctim.Nsec))
	return "dir-" + hex.EncodeToString(h[:]), nil
}

// use notes the use of an image that is there: prune goes by it.
func (c *Cache) use(path string) bool {
	now := time.Now()
	return os.Chtimes(path, now, now) == nil
}

// make has path filled, by one at a time.
func (c *Cache) make(ctx context.Context, path string, fill func(ctx context.Context, image string) error) error {
	partial := strings.TrimSuffix(path, imageExt) + partialExt
	f, err := lockFile(ctx, partial)
	if err != nil {
		return err
	}
	defer f.Close()
	if c.use(path) { // somebody else has made it meanwhile
		return unlink(partial)
	}
	if err := fill(ctx, partial); err != nil {
		return errors.Join(err, unlink(partial))
	}
	// A VMM that opens disks by itself does so as nobody; the directory lets none but root pass.
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	// A power loss must not leave a complete name on an empty file.
	if err := f.Sync(); err != nil {
		return err
	}
	return os.Rename(partial, path)
}

func unlink(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// lockFile opens path and holds its lock. The file may be renamed away or removed by who held the lock before:
// then the name is another file, or none, and it begins again.
func lockFile(ctx context.Context, path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		if err := flock(ctx, f); err != nil {
			f.Close()
			return nil, err
		}
		here, err := f.Stat()
		if err == nil {
			var there os.FileInfo
			if there, err = os.Stat(path); err == nil && os.SameFile(here, there) {
				return f, nil
			}
		}
		f.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
}

// flock waits for the lock, and no longer than ctx allows.
func flock(ctx context.Context, f *os.File) error {
	got := make(chan error, 1)
	go func() { got <- unix.Flock(int(f.Fd()), unix.LOCK_EX) }()
	select {
	case err := <-got:
		return err
	case <-ctx.Done():
		return ctx.Err() // the process is about to end, and the goroutine with it
	}
}

// mkfs writes the image. It is not compressed: reading through decompression costs the guest more than the host's
// page cache, which all pods share, costs the host (measured: 107 against 72 MB/s).
func mkfs(ctx context.Context, image, dir string) error {
	program, err := tool("mkfs.erofs", "erofs-utils")
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, program, "--quiet", "-x", "1", image, dir)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("mkfs.erofs: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// tool finds a program where administrators' programs are, whatever the caller's PATH is.
func tool(name, pkg string) (string, error) {
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/local/bin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is missing (apt-get install %s)", name, pkg)
}

// prune removes images that nobody has asked for in a long time, and what killed makers left. It is housekeeping:
// its errors are nobody's.
func (c *Cache) prune() {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || time.Since(info.ModTime()) < keep {
			continue
		}
		if ext := filepath.Ext(e.Name()); ext == imageExt || ext == partialExt {
			_ = os.Remove(filepath.Join(c.dir, e.Name()))
		}
	}
}
