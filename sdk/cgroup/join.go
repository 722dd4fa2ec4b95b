package cgroup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// Join sees to it that what the calling thread forks lands in the pod's cgroup.
//
// On version 1 the thread itself moves (file "tasks" takes threads), and its children with it. On version 2 a
// thread cannot move alone; there the result is the directory of the app's own cgroup, to be given to clone3
// (syscall.SysProcAttr.UseCgroupFD) and closed by the caller. Nil with no error: there is nothing more to do.
func Join(cg poddir.Cgroup, app string) (*os.File, error) {
	switch cg.Version {
	case 1:
		joined := map[string]bool{}
		for _, dir := range cg.Dirs {
			if joined[dir] {
				continue // controllers that are mounted together
			}
			joined[dir] = true
			if err := os.WriteFile(filepath.Join(dir, "tasks"), []byte("0"), 0); err != nil {
				return nil, err
			}
		}
	case 2:
		// A cgroup that has processes cannot have controllers for its children, so each app has its own.
		dir := filepath.Join(cg.Dirs[""], app)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		return os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	}
	return nil, nil
}
