package rootfs

import (
	"errors"
	"fmt"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/mnt"
)

// masked are files and directories below /proc and /sys that tell an app about the host or other pods, or
// let it act on them. It is the union of what the first rkt hid and what Docker and podman hide today.
func masked() []string {
	return []string{
		"proc/acpi", "proc/asound", "proc/config.gz", "proc/interrupts", "proc/kallsyms", "proc/kcore",
		"proc/keys", "proc/kmem", "proc/latency_stats", "proc/mem", "proc/sched_debug", "proc/scsi",
		"proc/timer_list", "proc/timer_stats",
		"sys/dev/block", "sys/devices/virtual/powercap", "sys/firmware", "sys/fs/bpf", "sys/fs/selinux",
		"sys/hypervisor", "sys/kernel/debug", "sys/kernel/security", "sys/kernel/tracing", "sys/module", "sys/power",
	}
}

// readOnlyPaths can be looked at. All of /sys is read-only as a mount.
func readOnlyPaths() []string {
	return []string{"proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"}
}

// proc mounts /proc of the pod's pid namespace. hidepid stays off: the apps of a pod see each other.
func (b *builder) proc() error {
	fd, err := mnt.New("proc", mnt.NoSuid|mnt.NoDev|mnt.NoExec)
	if err != nil {
		return err
	}
	if err := b.mount(fd, "proc", true); err != nil {
		return err
	}
	if b.Proc, err = mnt.Open(b.Dir, "proc", unix.O_PATH|unix.O_DIRECTORY); err != nil {
		return err
	}
	// The target was a descriptor, but what is there now is looked up: it must be what was mounted.
	if ok, err := mnt.IsFS(b.Proc, unix.PROC_SUPER_MAGIC); err != nil || !ok {
		return errors.Join(errors.New("is not a procfs"), err)
	}
	return b.protect(b.Proc, "proc")
}

// sys mounts sysfs read-only. An app that mounts a volume somewhere in /sys gets none of ours below it.
func (b *builder) sys() error {
	fd, err := mnt.New("sysfs", mnt.ReadOnly|mnt.NoSuid|mnt.NoDev|mnt.NoExec)
	if err != nil {
		return err
	}
	if err := b.mount(fd, "sys", true); err != nil {
		return err
	}
	dir, err := mnt.Open(b.Dir, "sys", unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	if ok, err := mnt.IsFS(dir, unix.SYSFS_MAGIC); err != nil || !ok {
		return errors.Join(errors.New("is not a sysfs"), err)
	}
	return b.protect(dir, "sys")
}

// protect masks and write-protects what is listed below top, which dir is open on.
func (b *builder) protect(dir int, top string) error {
	if b.app.UnprotectedPaths {
		return nil
	}
	for _, name := range slices.Concat(masked(), readOnlyPaths()) {
		rel, ok := cutTop(name, top)
		if !ok {
			continue
		}
		// Below a kernel file system that was just mounted there is nothing that an app could have made.
		fd, err := unix.Openat2(dir, rel, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS})
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
			continue
		}
		if err != nil {
			return fmt.Errorf("protect /%s: %w", name, err)
		}
		if slices.Contains(readOnlyPaths(), name) {
			err = writeProtect(fd)
		} else {
			err = b.mask(fd)
		}
		unix.Close(fd)
		if err != nil {
			return fmt.Errorf("protect /%s: %w", name, err)
		}
	}
	return nil
}

func cutTop(name, top string) (string, bool) {
	if len(name) <= len(top) || name[:len(top)] != top || name[len(top)] != '/' {
		return "", false
	}
	return path.Clean(name[len(top)+1:]), true
}

func writeProtect(target int) error {
	fd, err := mnt.Clone(target, "", true)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := mnt.Restrict(fd, mnt.ReadOnly|mnt.NoSuid|mnt.NoDev|mnt.NoExec, true); err != nil {
		return err
	}
	return mnt.Attach(fd, target)
}

// mask hides a file behind the host's null device, and a directory behind an empty tmpfs, one for all.
func (b *builder) mask(target int) error {
	var st unix.Stat_t
	if err := unix.Fstat(target, &st); err != nil {
		return err
	}
	var fd int
	var err error
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		fd, err = hostDevice(device{"null", 1, 3})
	case b.empty < 0:
		fd, err = mnt.New("tmpfs", mnt.ReadOnly|mnt.NoSuid|mnt.NoDev|mnt.NoExec, mnt.Param{Key: "size", Value: "4096"}, mnt.Param{Key: "nr_inodes", Value: "2"})
	default:
		fd, err = mnt.Clone(b.empty, "", false)
	}
	if err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR && b.empty < 0 {
		b.empty = fd // attached, it can be cloned
	} else {
		defer unix.Close(fd)
	}
	return mnt.Attach(fd, target)
}

// hostDevice clones the mount of a node of the host's /dev, which must be what it is called.
func hostDevice(d device) (int, error) {
	fd, err := mnt.Clone(unix.AT_FDCWD, "/dev/"+d.name, false)
	if err != nil {
		return -1, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return -1, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(d.major, d.minor) {
		unix.Close(fd)
		return -1, fmt.Errorf("the host's /dev/%s is not device %d:%d", d.name, d.major, d.minor)
	}
	return fd, nil
}

// cgroup shows the app its own cgroups, read-only, as directories of the host's hierarchy that are already
// mounted: a new mount of a hierarchy would cost more and show no less.
func (b *builder) cgroup() error {
	const at = "sys/fs/cgroup"
	if fd, err := mnt.Open(b.Dir, at, unix.O_PATH); err != nil {
		return nil // no sysfs directory for it: a kernel without cgroups
	} else {
		unix.Close(fd)
	}
	attrs := uint64(mnt.ReadOnly | mnt.NoSuid | mnt.NoDev | mnt.NoExec)
	if b.app.Cgroup.Version == 2 {
		fd, err := mnt.Clone(unix.AT_FDCWD, b.app.Cgroup.Dirs[""], false)
		if err != nil {
			return fmt.Errorf("open %s: %w", b.app.Cgroup.Dirs[""], err)
		}
		if err := mnt.Restrict(fd, attrs, false); err != nil {
			return err
		}
		return b.mount(fd, at, true)
	}
	// v1, or none: a tmpfs with one directory per controller.
	fd, err := mnt.New("tmpfs", mnt.NoSuid|mnt.NoDev|mnt.NoExec, mnt.Param{Key: "mode", Value: "755"}, mnt.Param{Key: "size", Value: "4096"})
	if err != nil {
		return err
	}
	if err := b.mount(fd, at, true); err != nil {
		return err
	}
	for controller, dir := range b.app.Cgroup.Dirs {
		fd, err := mnt.Clone(unix.AT_FDCWD, dir, false)
		if err != nil {
			return fmt.Errorf("open %s: %w", dir, err)
		}
		if err := mnt.Restrict(fd, attrs, false); err != nil {
			return err
		}
		if err := b.mount(fd, at+"/"+controller, true); err != nil {
			return err
		}
	}
	top, err := mnt.Open(b.Dir, at, unix.O_PATH)
	if err != nil {
		return err
	}
	defer unix.Close(top)
	return mnt.Restrict(top, mnt.ReadOnly, false)
}
