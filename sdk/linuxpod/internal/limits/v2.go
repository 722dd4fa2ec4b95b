package limits

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/containerd/cgroups/v3/cgroup2"
	"golang.org/x/sys/unix"
)

// setV2 writes resources of one controller: so a refusal concerns that one alone.
func setV2(ac AppCgroup, r *cgroup2.Resources) error {
	dir := ac.Dirs[""]
	m, err := cgroup2.Load("/"+filepath.Base(dir), cgroup2.WithMountpoint(filepath.Dir(dir)))
	if err != nil {
		return err
	}
	err = m.Update(r)
	if errors.Is(err, fs.ErrPermission) {
		// the library opens with O_CREAT, which cgroupfs refuses for a file that is not there
		return fmt.Errorf("%w: %w", errNoController, err)
	}
	return err
}

// setMemoryV2 limits memory, without swap, as on v1. At the limit the kernel ends the whole app, not one
// process of it that the others then miss.
func setMemoryV2(ac AppCgroup, bytes int64) error {
	if err := setV2(ac, &cgroup2.Resources{Memory: &cgroup2.Memory{Max: &bytes}}); err != nil {
		return err
	}
	for file, value := range map[string]string{"memory.swap.max": "0", "memory.oom.group": "1"} {
		err := os.WriteFile(filepath.Join(ac.Dirs[""], file), []byte(value), 0)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
			return err // a kernel without swap has no such file
		}
	}
	return nil
}

func setCPUV2(ac AppCgroup, millis int64, shares uint64) error {
	cpu := &cgroup2.CPU{}
	if millis > 0 {
		q, p := quota(millis), uint64(cpuPeriod)
		cpu.Max = cgroup2.NewCPUMax(&q, &p)
	}
	if shares > 0 {
		weight := cgroup2.ConvertCPUSharesToCgroupV2Value(shares)
		cpu.Weight = &weight
	}
	return setV2(ac, &cgroup2.Resources{CPU: cpu})
}

func setPidsV2(ac AppCgroup) error {
	return setV2(ac, &cgroup2.Resources{Pids: &cgroup2.Pids{Max: PidsMax}})
}

// setDevicesV2 attaches the filter to the app's cgroup, where it stays until the cgroup goes; programs above
// and a second one after a repeated Apply have to agree to an access, too.
func setDevicesV2(ac AppCgroup, devices []Device) error {
	fd, err := unix.Open(ac.Dirs[""], unix.O_DIRECTORY|unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if _, err := cgroup2.LoadAttachCgroupDeviceFilter(filter(devices), filterLicense, fd); err != nil {
		return fmt.Errorf("attach device filter: %w", err)
	}
	return nil
}
