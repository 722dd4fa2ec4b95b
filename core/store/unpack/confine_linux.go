package unpack

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// keepCaps is what making files of any owner, mode and kind takes.
var keepCaps = [...]uint{unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_FSETID, unix.CAP_MKNOD,
	unix.CAP_SETFCAP}

// confine locks this process, which is root in namespaces of its own, into its working directory. Afterwards
// there is no path, no mount and no descriptor that leads out.
func confine() error {
	// Nothing that happens here may come back to the host.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	// A clone of the mount, for the directory alone (open_tree, move_mount: since Linux 5.2).
	tree, err := unix.OpenTree(unix.AT_FDCWD, ".", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("clone the layer's mount: %w", err)
	}
	// noexec and nodev: what the archive brings can be made here, but not run or opened. Kernels before 5.12
	// have no mount_setattr; the capabilities and the empty root are what matters.
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOEXEC | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOSUID}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr); err != nil && err != unix.ENOSYS {
		return fmt.Errorf("restrict the layer's mount: %w", err)
	}
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, ".", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("attach the layer's mount: %w", err)
	}
	if err := unix.Fchdir(tree); err != nil {
		return fmt.Errorf("enter the layer's directory: %w", err)
	}
	if err := unix.Close(tree); err != nil {
		return err
	}
	// pivot_root(".", ".") stacks the old root on the new one, and the unmount takes it away (pivot_root(2)).
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("make the layer's directory the root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the old root: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	return dropPrivileges()
}

// secureBits make root an ordinary user to execve(2) and setuid(2), for good, so that no capability comes back.
// Together with no_new_privs they say what an empty bounding set would, in one call instead of one for each
// capability on each thread.
// Bits of linux/securebits.h: NOROOT, NO_SETUID_FIXUP, NO_CAP_AMBIENT_RAISE, each with its lock, and KEEP_CAPS_LOCKED.
const secureBits = 1<<0 | 1<<1 | 1<<2 | 1<<3 | 1<<5 | 1<<6 | 1<<7

// dropPrivileges works on every thread of the process: Linux keeps credentials per thread. An empty inheritable
// set empties the ambient one.
func dropPrivileges() error {
	var keep uint64
	for _, c := range keepCaps {
		keep |= 1 << c
	}
	if e := allThreads(unix.SYS_PRCTL, unix.PR_SET_SECUREBITS, secureBits, 0); e != 0 {
		return fmt.Errorf("set secure bits: %w", e)
	}
	if e := allThreads(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); e != 0 {
		return fmt.Errorf("set no_new_privs: %w", e)
	}
	// What this process was never given, it cannot keep.
	var have [2]unix.CapUserData
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capget(&hdr, &have[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	keep &= uint64(have[0].Permitted) | uint64(have[1].Permitted)<<32
	data := [2]unix.CapUserData{
		{Effective: uint32(keep), Permitted: uint32(keep)},
		{Effective: uint32(keep >> 32), Permitted: uint32(keep >> 32)},
	}
	hdr = unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if e := allThreads(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&hdr)), uintptr(unsafe.Pointer(&data[0])), 0); e != 0 {
		return fmt.Errorf("drop capabilities: %w", e)
	}
	return nil
}

// allThreads makes a call on every thread. The runtime can do that in static binaries, which rkt is. In a test
// binary with cgo (-race) it cannot: there the calling goroutine, which alone touches the file system, is tied
// to its thread and the call made on that.
func allThreads(trap, a1, a2, a3 uintptr) syscall.Errno {
	_, _, e := syscall.AllThreadsSyscall6(trap, a1, a2, a3, 0, 0, 0)
	if e == syscall.ENOTSUP {
		runtime.LockOSThread()
		_, _, e = syscall.Syscall6(trap, a1, a2, a3, 0, 0, 0)
	}
	return e
}

// bound limits what a bug or a bomb can take.
func bound(lim Limits) error {
	debug.SetGCPercent(200)
	debug.SetMemoryLimit(lim.Memory * 3 / 4)
	for _, r := range []struct {
		what int
		max  uint64
	}{
		{unix.RLIMIT_CORE, 0},
		{unix.RLIMIT_NOFILE, 256},
		{unix.RLIMIT_FSIZE, uint64(lim.Bytes)},
		{unix.RLIMIT_DATA, uint64(lim.Memory)},
	} {
		var old unix.Rlimit
		if err := unix.Getrlimit(r.what, &old); err != nil {
			return fmt.Errorf("read resource limit %d: %w", r.what, err)
		}
		m := min(r.max, old.Max)
		if err := unix.Setrlimit(r.what, &unix.Rlimit{Cur: m, Max: m}); err != nil {
			return fmt.Errorf("set resource limit %d: %w", r.what, err)
		}
	}
	return nil
}
