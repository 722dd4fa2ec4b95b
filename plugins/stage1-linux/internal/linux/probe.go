package linux

import (
	"context"
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/sdk/plugin"
)

var _ plugin.Prober = (*Stage1)(nil)

// Probe looks at what the kernel offers. It makes nothing and mounts nothing.
func (s *Stage1) Probe(context.Context) ([]plugin.Finding, error) {
	return []plugin.Finding{probeRoot(), probeKernel(), probeOverlay(), probeSeccomp(), probeCgroup()}, nil
}

func finding(id string, required, ok bool, good, bad, remedy string) plugin.Finding {
	if ok {
		return plugin.Finding{ID: id, OK: true, Required: required, Summary: good}
	}
	return plugin.Finding{ID: id, Required: required, Summary: bad, Remedy: remedy}
}

func probeRoot() plugin.Finding {
	return finding("root", true, os.Geteuid() == 0, "runs as root", "does not run as root", "run rkt as root")
}

// probeKernel asks for the newest call that is used, with arguments that cannot succeed.
func probeKernel() plugin.Finding {
	err := unix.MountSetattr(-1, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
	return finding("kernel", true, !errors.Is(err, unix.ENOSYS), "kernel has mount_setattr",
		"kernel has no mount_setattr, or a filter on this process hides it", "boot Linux 5.12 or newer")
}

func probeOverlay() plugin.Finding {
	b, err := os.ReadFile("/proc/filesystems")
	if err == nil && strings.Contains(string(b), "\toverlay\n") {
		return finding("overlay", true, true, "kernel has overlayfs", "", "")
	}
	// Not yet loaded is as good: the first mount loads it.
	var uts unix.Utsname
	_ = unix.Uname(&uts)
	dir := "/lib/modules/" + unix.ByteSliceToString(uts.Release[:]) + "/kernel/fs/overlayfs"
	_, err = os.Stat(dir)
	return finding("overlay", true, err == nil, "overlayfs is a module that can be loaded", "kernel has no overlayfs", "modprobe overlay")
}

func probeSeccomp() plugin.Finding {
	_, err := os.Stat("/proc/sys/kernel/seccomp/actions_avail")
	return finding("seccomp", true, err == nil, "kernel has seccomp filters", "kernel has no seccomp filters",
		"boot a kernel with CONFIG_SECCOMP_FILTER, or run with --insecure-options=seccomp")
}

func probeCgroup() plugin.Finding {
	var st unix.Statfs_t
	if err := unix.Statfs("/sys/fs/cgroup", &st); err == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
		return finding("cgroup", false, true, "cgroup v2", "", "")
	}
	var missing []string
	for _, c := range []string{"memory", "cpu", "pids", "devices"} {
		if _, err := os.Stat("/sys/fs/cgroup/" + c + "/cgroup.procs"); err != nil {
			missing = append(missing, c)
		}
	}
	return finding("cgroup", false, len(missing) == 0, "cgroup v1 with memory, cpu, pids and devices",
		"cgroup controllers are missing: "+strings.Join(missing, ", ")+"; their limits will not hold",
		"mount cgroup v2 on /sys/fs/cgroup")
}
