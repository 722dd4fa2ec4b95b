package stage1

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
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

// OpenApp opens the process of a running app that its status file names: the command of a Supervisor, which a program that
// enters the app may join. The caller closes the pidfd; pid is for /proc, and may be another process's once that one has
// ended.
//
// A pid on disk is a hint, by then perhaps of a process of the host. It is the app's if its parent is the supervisor
// that holds the pod's lock, and if what the pidfd was opened on before that was looked up is there after it.
func OpenApp(podDir, app string) (pidfd, pid int, err error) {
	if err := Running(podDir); err != nil {
		return -1, 0, err
	}
	supervisor, err := poddir.ReadPid(podDir)
	if err != nil {
		return -1, 0, err
	}
	var s poddir.AppStatus
	err = poddir.ReadJSON(filepath.Join(podDir, poddir.StatusDir), app, &s)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return -1, 0, err
	}
	gone := fmt.Errorf("app %q is not running", app)
	if s.State != poddir.AppRunning || s.Pid <= 0 {
		return -1, 0, gone
	}
	pidfd, err = unix.PidfdOpen(s.Pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return -1, 0, gone
	}
	if err != nil {
		return -1, 0, os.NewSyscallError("pidfd_open", err)
	}
	about, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(s.Pid), "status"))
	child := bytes.Contains(about, []byte("\nPPid:\t"+strconv.Itoa(supervisor)+"\n"))
	if err != nil || !child || unix.PidfdSendSignal(pidfd, 0, nil, 0) != nil {
		unix.Close(pidfd)
		return -1, 0, gone
	}
	return pidfd, s.Pid, nil
}
