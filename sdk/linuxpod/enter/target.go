package enter

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// target returns a pidfd of the app's main process. The working directory is the pod directory.
//
// The pids on disk are hints. What makes the process the right one is how it descends: its parent is PID 1 of
// a pod, whose parent is the supervisor, whose working directory is this pod directory. A pidfd opened before
// the look and alive after it says that the look was at that process.
func target(app string) (int, error) {
	if err := running(); err != nil {
		return -1, err
	}
	var st poddir.AppStatus
	err := poddir.ReadJSON(poddir.StatusDir, app, &st)
	if errors.Is(err, os.ErrNotExist) {
		return -1, fmt.Errorf("app %q has not been started", app)
	}
	if err != nil {
		return -1, err
	}
	if st.State != poddir.AppRunning || st.Pid <= 0 {
		return -1, fmt.Errorf("app %q has ended", app)
	}
	pidfd, err := unix.PidfdOpen(st.Pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return -1, fmt.Errorf("app %q has ended", app)
	}
	if err != nil {
		return -1, fmt.Errorf("open process of app %q: %w", app, err)
	}
	if err := descends(st.Pid); err != nil {
		unix.Close(pidfd)
		return -1, fmt.Errorf("process %d is not app %q of this pod: %w", st.Pid, app, err)
	}
	if err := unix.PidfdSendSignal(pidfd, 0, nil, 0); err != nil {
		unix.Close(pidfd)
		return -1, fmt.Errorf("app %q has ended", app)
	}
	return pidfd, nil
}

// running checks that a supervisor holds the pod's lock.
func running() error {
	fd, err := unix.Open(".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	switch err := unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB); {
	case err == nil:
		return errors.New("pod is not running")
	case errors.Is(err, unix.EWOULDBLOCK):
		return nil
	default:
		return err
	}
}

func descends(pid int) error {
	init, err := parent(pid)
	if err != nil {
		return err
	}
	supervisor, err := parent(init)
	if err != nil {
		return err
	}
	hint, err := poddir.ReadPid(".")
	if err != nil {
		return err
	}
	if supervisor != hint {
		return fmt.Errorf("its supervisor is process %d, the pod's is %d", supervisor, hint)
	}
	var here, there unix.Stat_t
	if err := unix.Stat(".", &here); err != nil {
		return err
	}
	if err := unix.Stat(filepath.Join("/proc", strconv.Itoa(supervisor), "cwd"), &there); err != nil {
		return err
	}
	if here.Dev != there.Dev || here.Ino != there.Ino {
		return fmt.Errorf("process %d supervises another pod", supervisor)
	}
	return nil
}

func parent(pid int) (int, error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "PPid:"); ok {
			return strconv.Atoi(strings.TrimSpace(v))
		}
	}
	return 0, fmt.Errorf("process %d has no parent", pid)
}
