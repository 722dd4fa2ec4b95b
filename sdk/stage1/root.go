package stage1

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"strings"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// setupError keeps a missing file of ours from being taken for a missing program of the app's: it wraps nothing.
type setupError struct {
	verb, app string
	err       error
}

func (e *setupError) Error() string { return fmt.Sprintf("%s of app %q: %v", e.verb, e.app, e.err) }

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
