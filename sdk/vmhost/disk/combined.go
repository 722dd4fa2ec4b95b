package disk

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Combined returns one image of many layers, for a VMM that takes few disks: layer i is in the directory of that
// number. It is cached by all of its layers' names, so pods of the same images share it; pods that share some of
// their layers do not.
func (c *Cache) Combined(ctx context.Context, layers []string) (string, error) {
	var keys []string
	for _, dir := range layers {
		key, err := Key(dir)
		if err != nil {
			return "", err
		}
		keys = append(keys, key)
	}
	h := sha256.Sum256([]byte(strings.Join(keys, "\n")))
	path := filepath.Join(c.dir, "all-"+hex.EncodeToString(h[:])+imageExt)
	if c.use(path) {
		return path, nil
	}
	err := c.make(ctx, path, func(ctx context.Context, image string) error { return mkfsTogether(ctx, image, layers) })
	if err != nil {
		return "", fmt.Errorf("make disk image of %d layers: %w", len(layers), err)
	}
	c.prune()
	return path, nil
}

// mkfsTogether makes the image of a directory that has the layers mounted in it, in a mount namespace of one
// thread, which ends with it.
func mkfsTogether(ctx context.Context, image string, layers []string) error {
	stage, err := os.MkdirTemp(filepath.Dir(image), ".layers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(stage) // what was mounted there is not, in this namespace
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		done <- func() error {
			if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
				return fmt.Errorf("make mount namespace: %w", err)
			}
			if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
				return fmt.Errorf("make mounts private: %w", err)
			}
			if err := unix.Mount("tmpfs", stage, "tmpfs", 0, "mode=755,size=1m"); err != nil {
				return err
			}
			for i, dir := range layers {
				at := filepath.Join(stage, strconv.Itoa(i))
				if err := os.Mkdir(at, 0o755); err != nil {
					return err
				}
				if err := unix.Mount(dir, at, "", unix.MS_BIND, ""); err != nil {
					return &os.PathError{Op: "mount", Path: dir, Err: err}
				}
			}
			return mkfs(ctx, image, stage)
		}()
	}()
	return <-done
}
