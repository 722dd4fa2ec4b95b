package rootfs

import (
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/mnt"
	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/plan"
	"github.com/rkt/rkt/v2/sdk/linuxpod/tty"
)

// device is a node that every app has.
type device struct {
	name         string
	major, minor uint32
}

func devices() []device {
	return []device{
		{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
	}
}

// links are the conventional names of /dev.
func links() map[string]string {
	return map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
		"ptmx": "pts/ptmx",
	}
}

// Shared makes the mounts that the apps of a pod share. PID 1 calls it once, in its own mount namespace; the
// apps' namespaces are copies of that one.
func Shared() error {
	fd, err := mnt.New("tmpfs", mnt.NoSuid|mnt.NoDev|mnt.NoExec, mnt.Param{Key: "mode", Value: "1777"}, mnt.Param{Key: "size", Value: "67108864"})
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	at, err := unix.Open(plan.Scratch, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", plan.Scratch, err)
	}
	defer unix.Close(at)
	return mnt.Attach(fd, at)
}

// dev mounts the minimal /dev. It is filled by descriptor, before the app exists.
func (b *builder) dev() error {
	fd, err := mnt.New("tmpfs", mnt.NoSuid|mnt.NoExec, mnt.Param{Key: "mode", Value: "755"}, mnt.Param{Key: "size", Value: "65536k"})
	if err != nil {
		return err
	}
	if err := b.mount(fd, "dev", true); err != nil {
		return err
	}
	dir, err := mnt.Open(b.Dir, "dev", unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	for _, d := range devices() {
		if err := d.make(dir); err != nil {
			return fmt.Errorf("device %s: %w", d.name, err)
		}
	}
	for name, to := range links() {
		if err := unix.Symlinkat(to, dir, name); err != nil {
			return err
		}
	}
	if err := b.shm(dir); err != nil {
		return fmt.Errorf("shm: %w", err)
	}
	if fd, err = mnt.New("mqueue", mnt.NoSuid|mnt.NoDev|mnt.NoExec); err == nil {
		err = attachDir(fd, dir, "mqueue")
	}
	if err != nil && !errors.Is(err, unix.ENODEV) { // a kernel without POSIX queues
		return err
	}
	return b.pts(dir)
}

// make makes the node, or binds the host's where the devices cgroup of this process forbids mknod.
func (d device) make(dir int) error {
	err := unix.Mknodat(dir, d.name, unix.S_IFCHR|0o666, int(unix.Mkdev(d.major, d.minor)))
	if err == nil {
		return chmodAt(dir, d.name, 0o666)
	}
	if !errors.Is(err, unix.EPERM) {
		return err
	}
	fd, err := hostDevice(d)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return attachFile(fd, dir, d.name)
}

// chmodAt gives what a umask took.
func chmodAt(dir int, name string, mode uint32) error { return unix.Fchmodat(dir, name, mode, 0) }

func (b *builder) shm(dir int) error {
	fd, err := mnt.Clone(unix.AT_FDCWD, plan.Scratch, false)
	if err != nil {
		return err
	}
	return attachDir(fd, dir, "shm")
}

// pts mounts a devpts instance of the app's own and, for an app with a terminal, makes that terminal.
func (b *builder) pts(dir int) error {
	fd, err := mnt.New("devpts", mnt.NoSuid|mnt.NoExec, mnt.Param{Key: "newinstance"}, mnt.Param{Key: "ptmxmode", Value: "0666"},
		mnt.Param{Key: "mode", Value: "0620"}, mnt.Param{Key: "gid", Value: "5"})
	if err != nil {
		return err
	}
	if err := attachDir(fd, dir, "pts"); err != nil {
		return err
	}
	if !b.tty() {
		return nil
	}
	pts, err := mnt.Open(dir, "pts", unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(pts)
	n := 0
	if b.Master, b.Slave, n, err = tty.Open(pts); err != nil {
		return err
	}
	if fd, err = mnt.Clone(pts, strconv.Itoa(n), false); err != nil {
		return err
	}
	defer unix.Close(fd)
	return attachFile(fd, dir, "console")
}

// attachDir makes a directory in a directory that nobody else writes to, and mounts on it.
func attachDir(fd, dir int, name string) error {
	defer unix.Close(fd)
	if err := unix.Mkdirat(dir, name, 0o755); err != nil {
		return err
	}
	at, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(at)
	return mnt.Attach(fd, at)
}

func attachFile(fd, dir int, name string) error {
	if err := unix.Mknodat(dir, name, unix.S_IFREG|0o600, 0); err != nil {
		return err
	}
	at, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(at)
	return mnt.Attach(fd, at)
}
