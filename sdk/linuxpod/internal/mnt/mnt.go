package mnt

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Attributes of mounts, short for those of mount_setattr(2).
const (
	ReadOnly = unix.MOUNT_ATTR_RDONLY
	NoSuid   = unix.MOUNT_ATTR_NOSUID
	NoDev    = unix.MOUNT_ATTR_NODEV
	NoExec   = unix.MOUNT_ATTR_NOEXEC
)

// Param is one option of a new file system.
type Param struct{ Key, Value string }

// New makes a detached mount of a new instance of a kernel file system.
func New(fstype string, attrs int, params ...Param) (int, error) {
	ctx, err := unix.Fsopen(fstype, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("open file system %s: %w", fstype, err)
	}
	defer unix.Close(ctx)
	for _, p := range params {
		if p.Value == "" {
			err = unix.FsconfigSetFlag(ctx, p.Key)
		} else {
			err = unix.FsconfigSetString(ctx, p.Key, p.Value)
		}
		if err != nil {
			return -1, fmt.Errorf("set %s=%s of %s: %w", p.Key, p.Value, fstype, err)
		}
	}
	if err := unix.FsconfigCreate(ctx); err != nil {
		return -1, fmt.Errorf("create %s: %w", fstype, err)
	}
	fd, err := unix.Fsmount(ctx, unix.FSMOUNT_CLOEXEC, attrs)
	if err != nil {
		return -1, fmt.Errorf("mount %s: %w", fstype, err)
	}
	return fd, nil
}

// Clone makes a detached copy of the mount at path below dir (a bind mount), with everything mounted below
// it when recursive. An empty path is dir itself. Symlinks are followed.
func Clone(dir int, path string, recursive bool) (int, error) {
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC)
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	if path == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	return unix.OpenTree(dir, path, flags)
}

// Restrict adds attributes to a mount, and to all below it when recursive.
func Restrict(mount int, attrs uint64, recursive bool) error {
	flags := uint(unix.AT_EMPTY_PATH)
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	return unix.MountSetattr(mount, "", flags, &unix.MountAttr{Attr_set: attrs})
}

// Attach puts a detached mount onto the directory or file that target is open on.
func Attach(mount, target int) error {
	return unix.MoveMount(mount, "", target, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

// Private cuts the calling thread's mount namespace off from propagation in both directions.
func Private() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	return nil
}

// Pivot makes the mounted directory the root of the calling thread's mount namespace and drops the old
// root with everything below it.
func Pivot(root int) error {
	if err := unix.Fchdir(root); err != nil {
		return fmt.Errorf("enter new root: %w", err)
	}
	// With the same directory for both, the old root ends up on top of the new one, without a directory
	// for it inside the app's tree.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("drop the host's tree: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return fmt.Errorf("enter new root: %w", err)
	}
	return nil
}

// IsFS says whether fd is on a file system with that magic number.
func IsFS(fd int, magic int64) (bool, error) {
	var st unix.Statfs_t
	for {
		err := unix.Fstatfs(fd, &st)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return err == nil && int64(st.Type) == magic, err
	}
}
