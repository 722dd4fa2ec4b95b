package vmguest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// fileSystem is one mount of the boot.
type fileSystem struct {
	fstype, at string
	flags      uintptr
	options    string
}

// kernelFS are what everything else needs.
func kernelFS() []fileSystem {
	const quiet = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	return []fileSystem{
		{"proc", "/proc", quiet, ""},
		{"sysfs", "/sys", quiet, ""},
		{"devtmpfs", "/dev", unix.MS_NOSUID | unix.MS_NOEXEC, "mode=755"},
		{"devpts", "/dev/pts", unix.MS_NOSUID | unix.MS_NOEXEC, "mode=620,gid=5,ptmxmode=666"},
		{"tmpfs", "/run", unix.MS_NOSUID | unix.MS_NODEV, "mode=755"},
	}
}

// prepareKernel brings the guest to where it can listen to the host.
func prepareKernel() (cmdline, error) {
	unix.Umask(0o022)
	for _, f := range kernelFS() {
		err := f.mount()
		if errors.Is(err, unix.EBUSY) {
			continue // CONFIG_DEVTMPFS_MOUNT
		}
		if err != nil {
			return cmdline{}, err
		}
	}
	b, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return cmdline{}, err
	}
	line := parseCmdline(string(b))
	if err := loadModules("/modules"); err != nil {
		return line, err
	}
	if err := leaveInitramfs(); err != nil {
		return line, err
	}
	if err := mountCgroups(); err != nil {
		return line, err
	}
	return line, nil
}

func (f fileSystem) mount() error {
	if err := os.MkdirAll(f.at, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(f.fstype, f.at, f.fstype, f.flags, f.options); err != nil {
		return fmt.Errorf("mount %s on %s: %w", f.fstype, f.at, err)
	}
	return nil
}

// loadModules loads what /modules/order lists, in that order: who made the initramfs has resolved what needs
// what. Needs that depmod does not know of (libcrc32c wants some crc32c) are met by a second try. A module that
// the kernel has built in, or that a device of this machine does not need, is no error; one that is missed is
// missed by name later.
func loadModules(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, "order"))
	if errors.Is(err, os.ErrNotExist) {
		return nil // everything is built in
	}
	if err != nil {
		return err
	}
	order := strings.Fields(string(b))
	for try := range 2 {
		var failed []string
		for _, name := range order {
			if err := loadModule(filepath.Join(dir, name)); err != nil {
				failed = append(failed, name)
				if try > 0 {
					complain("load module %s: %v", name, err)
				}
			}
		}
		order = failed
	}
	return os.RemoveAll(dir) // the memory is the pod's
}

func loadModule(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.FinitModule(int(f.Fd()), "", 0)
	if errors.Is(err, unix.EEXIST) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

// leaveInitramfs moves everything onto a tmpfs: pivot_root(2), which makes an app's root, does not work where
// the root is the initramfs itself. The program's file stays there, out of sight.
func leaveInitramfs() error {
	const root = "/run/root"
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", root, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount root: %w", err)
	}
	for _, dir := range []string{"/proc", "/sys", "/dev"} {
		if err := os.Mkdir(root+dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(dir, root+dir, "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("move %s: %w", dir, err)
		}
	}
	if err := unix.Chdir(root); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	return unix.Chdir("/")
}
