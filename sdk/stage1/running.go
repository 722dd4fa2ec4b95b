package stage1

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Running returns nil when a supervisor holds the lock of the pod directory, and PodNotRunning when none does. A
// shared lock on a description of our own asks without taking it from anybody for longer than the question.
func Running(podDir string) error {
	fd, err := unix.Open(podDir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: podDir, Err: err}
	}
	defer unix.Close(fd)
	switch err := unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB); {
	case err == nil:
		return PodNotRunning("pod is not running")
	case errors.Is(err, unix.EWOULDBLOCK):
		return nil
	default:
		return &os.PathError{Op: "flock", Path: podDir, Err: err}
	}
}
