package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/plan"
)

// maxLayers is overlayfs's own limit (OVL_MAX_STACK).
const maxLayers = 500

// overlay mounts the app's layers and its writable directory, and returns the mounted directory.
//
// The options name descriptors relative to /proc/self/fd, where this thread goes for the call: a layer path
// may then hold colons and commas, and 500 of them fit into the page that mount(2) takes.
func overlay(p *plan.Plan, app *plan.App) (int, error) {
	layers := app.Rootfs.Layers
	if len(layers) == 0 {
		layers = []string{filepath.Join(poddir.AppsDir, app.Name, "empty")}
		if err := os.MkdirAll(layers[0], 0o755); err != nil {
			return -1, err
		}
	}
	if len(layers) > maxLayers {
		return -1, fmt.Errorf("image has %d layers, overlayfs takes %d", len(layers), maxLayers)
	}
	upper := filepath.Join(poddir.AppsDir, app.Name, "upper")
	work := filepath.Join(poddir.AppsDir, app.Name, "work")
	if err := makeUpper(upper, work, layers[len(layers)-1]); err != nil {
		return -1, err
	}

	var fds []int
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	open := func(path string) (string, error) {
		fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return "", &os.PathError{Op: "open layer", Path: path, Err: err}
		}
		fds = append(fds, fd)
		return strconv.Itoa(fd), nil
	}
	lower := make([]string, len(layers))
	for i, l := range layers {
		n, err := open(l)
		if err != nil {
			return -1, err
		}
		lower[len(layers)-1-i] = n // overlayfs wants the uppermost first
	}
	upperFD, err := open(upper)
	if err != nil {
		return -1, err
	}
	workFD, err := open(work)
	if err != nil {
		return -1, err
	}
	pod, err := unix.Open(".", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	fds = append(fds, pod)
	options := "lowerdir=" + strings.Join(lower, ":") + ",upperdir=" + upperFD + ",workdir=" + workFD
	if p.Volatile {
		options += ",volatile" // no sync of the upper file system when the pod ends; since Linux 5.10
	}
	if err := unix.Chdir("/proc/self/fd"); err != nil {
		return -1, fmt.Errorf("enter /proc/self/fd (is /proc mounted?): %w", err)
	}
	// Mounted over its own writable directory, which overlayfs has a private hold of.
	err = unix.Mount("overlay", upperFD, "overlay", 0, options)
	if cderr := unix.Fchdir(pod); cderr != nil {
		return -1, cderr
	}
	if errors.Is(err, unix.EINVAL) {
		return -1, fmt.Errorf("mount overlay: %w (the data directory must be on a file system that can be an overlay's upper: not overlayfs, NFS or FAT; dmesg says more)", err)
	}
	if err != nil {
		return -1, fmt.Errorf("mount overlay: %w", err)
	}
	root, err := unix.Open(upper, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: upper, Err: err}
	}
	return root, nil
}

// makeUpper makes the writable directory. Its owner and mode are those of the app's "/", so they are the
// uppermost layer's.
func makeUpper(upper, work, top string) error {
	if err := os.MkdirAll(filepath.Dir(upper), 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(work, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	err := os.Mkdir(upper, 0o755)
	if errors.Is(err, os.ErrExist) {
		return nil // the pod has run before
	}
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Stat(top, &st); err != nil {
		return &os.PathError{Op: "stat layer", Path: top, Err: err}
	}
	if err := unix.Chown(upper, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	return unix.Chmod(upper, st.Mode&0o7777)
}
