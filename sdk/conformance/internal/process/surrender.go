package process

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/manifest"
)

// surrender gives up, on the calling thread, what its child shall not have.
func surrender(o Options) error {
	if o.Kind != manifest.ServiceStage1 {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return os.NewSyscallError("prctl", err)
		}
	}
	if os.Geteuid() != 0 {
		return nil
	}
	if o.Host != nil {
		if err := host(o.Host); err != nil {
			return err
		}
	}
	if o.ReadOnly {
		if err := readOnly(append([]string{o.SocketDir}, o.Writable...), o.Dir, o.NoTmp); err != nil {
			return fmt.Errorf("make / read-only: %w", err)
		}
	}
	if o.Kind == manifest.ServiceNetwork {
		return keepCaps(unix.CAP_NET_ADMIN, unix.CAP_SYS_ADMIN)
	}
	return nil
}

// keepCaps reduces the thread's permitted and effective sets. With no_new_privs an execve gives no more.
func keepCaps(keep ...uintptr) error {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var old, data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &old[0]); err != nil {
		return os.NewSyscallError("capget", err)
	}
	for _, n := range keep {
		bit := uint32(1) << (n % 32)
		data[n/32].Permitted |= old[n/32].Permitted & bit
		data[n/32].Effective |= old[n/32].Permitted & bit
	}
	return os.NewSyscallError("capset", unix.Capset(&hdr, &data[0]))
}

// host enters a network namespace, with a /sys that shows it.
func host(ns *os.File) error {
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return os.NewSyscallError("setns", err)
	}
	return nil
}

// readOnly makes a mount namespace for the thread in which nothing but the given directories can be written. With
// noTmp, /tmp holds only them and the plugin.
func readOnly(writable []string, plugin string, noTmp bool) error {
	dirs := append(slices.Clone(writable), plugin)
	open := map[string]int{}
	for _, dir := range dirs {
		fd, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
		if err != nil {
			return &os.PathError{Op: "open_tree", Path: dir, Err: err}
		}
		defer unix.Close(fd)
		open[dir] = fd
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return os.NewSyscallError("mount", err)
	}
	ro := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(unix.AT_FDCWD, "/", unix.AT_RECURSIVE, ro); err != nil {
		return os.NewSyscallError("mount_setattr", err)
	}
	if noTmp {
		if err := unix.Mount("empty", "/tmp", "tmpfs", 0, "mode=0711"); err != nil {
			return os.NewSyscallError("mount", err)
		}
	}
	for _, dir := range dirs {
		if noTmp && strings.HasPrefix(dir, "/tmp/") {
			if err := os.MkdirAll(dir, 0o711); err != nil {
				return err
			}
		}
		if err := unix.MoveMount(open[dir], "", unix.AT_FDCWD, filepath.Clean(dir), unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return &os.PathError{Op: "move_mount", Path: dir, Err: err}
		}
	}
	if noTmp {
		if err := unix.MountSetattr(unix.AT_FDCWD, "/tmp", 0, ro); err != nil {
			return os.NewSyscallError("mount_setattr", err)
		}
	}
	return unix.MountSetattr(unix.AT_FDCWD, filepath.Clean(plugin), 0, ro)
}
