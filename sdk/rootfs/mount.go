package rootfs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// Mount gives the calling thread a mount namespace and mounts the app's root in it: an overlay of the shared layers and
// apps/NAME/upper of the pod, without devices, read-only when the app asks for that. It returns the root's path.
//
// The thread must be locked (runtime.LockOSThread) and never be given back: what it forks sees the root, the host and
// other threads do not, and with the last process the mount is gone. Volumes, /proc and /dev are not in it.
func Mount(podDir string, app *poddir.App) (string, error) {
	// CLONE_NEWNS implies a root and working directory of the thread's own.
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return "", os.NewSyscallError("unshare", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return "", os.NewSyscallError("mount", err)
	}
	dir := filepath.Join(podDir, poddir.AppsDir, app.Name)
	for _, d := range []string{"upper", "work", "root", "empty"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return "", err
		}
	}
	lower := make([]string, 0, len(app.Rootfs.Layers)+1)
	for i := len(app.Rootfs.Layers) - 1; i >= 0; i-- { // overlayfs wants the uppermost first
		lower = append(lower, overlayEscape(app.Rootfs.Layers[i]))
	}
	if len(lower) == 0 {
		lower = append(lower, overlayEscape(filepath.Join(dir, "empty")))
	}
	root := filepath.Join(dir, "root")
	options := "lowerdir=" + strings.Join(lower, ":") +
		",upperdir=" + overlayEscape(filepath.Join(dir, "upper")) + ",workdir=" + overlayEscape(filepath.Join(dir, "work"))
	if len(options) >= os.Getpagesize() {
		return "", fmt.Errorf("%d layers need %d bytes of mount options, more than a page", len(lower), len(options))
	}
	var flags uintptr = unix.MS_NODEV
	if app.ReadOnlyRoot {
		flags |= unix.MS_RDONLY
	}
	if err := unix.Mount("overlay", root, "overlay", flags, options); err != nil {
		return "", os.NewSyscallError("mount", err)
	}
	return root, nil
}

// overlayEscape protects a path in overlayfs's options.
func overlayEscape(p string) string {
	return strings.NewReplacer(`\`, `\\`, `:`, `\:`, `,`, `\,`).Replace(p)
}
