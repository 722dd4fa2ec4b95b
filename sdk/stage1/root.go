package stage1

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// setupError keeps a missing file of ours from being taken for a missing program of the app's: it wraps nothing.
type setupError struct {
	verb, app string
	err       error
}

func (e *setupError) Error() string { return fmt.Sprintf("%s of app %q: %v", e.verb, e.app, e.err) }

// mountRoot gives the calling thread a mount namespace and mounts the app's root in it: an overlay of the shared
// layers and apps/NAME/upper of the pod. The working directory is the pod's. It returns the root's path.
func mountRoot(app *poddir.App) (string, error) {
	// CLONE_NEWNS implies a root and working directory of the thread's own.
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return "", os.NewSyscallError("unshare", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return "", os.NewSyscallError("mount", err)
	}
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(wd, poddir.AppsDir, app.Name)
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

// LookPath finds an app's program in its root, for a Supervisor that chroots: Argv[0] itself when it holds a
// slash, else the first of that name in the app's PATH. The result counts from the app's root.
func LookPath(root string, app *poddir.App) (string, error) {
	if len(app.Argv) == 0 {
		return "", fmt.Errorf("app %q has no command: %w", app.Name, exec.ErrNotFound)
	}
	name := app.Argv[0]
	if strings.Contains(name, "/") {
		return name, nil
	}
	in, err := os.OpenRoot(root) // the image's symlinks must not lead to the host's files
	if err != nil {
		return "", err
	}
	defer in.Close()
	search := "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	for _, v := range app.Env {
		if p, ok := strings.CutPrefix(v, "PATH="); ok {
			search = p
		}
	}
	for _, dir := range strings.Split(search, ":") {
		if !path.IsAbs(dir) {
			continue
		}
		file := path.Join(dir, name)
		// A link that is absolute or leads on cannot be followed from outside; the kernel will, inside.
		fi, err := in.Lstat(strings.TrimPrefix(file, "/"))
		if err == nil && (fi.Mode()&fs.ModeSymlink != 0 || fi.Mode().IsRegular() && fi.Mode()&0o111 != 0) {
			return file, nil
		}
	}
	return "", fmt.Errorf("%q is in no directory of PATH=%s of the app: %w", name, search, exec.ErrNotFound)
}
