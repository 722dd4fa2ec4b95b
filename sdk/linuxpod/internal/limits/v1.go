package limits

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

func writeV1(ac AppCgroup, controller, file, value string) error {
	dir := ac.Dirs[controller]
	if dir == "" {
		return errNoController
	}
	return os.WriteFile(filepath.Join(dir, file), []byte(value), 0)
}

// setMemoryV1 limits memory, and memory and swap together to the same: an app is not to swap its way past a
// limit. The kernel wants limit <= memsw at each moment, so which comes first depends on the direction. Where
// the kernel does not count swap there is no second file.
func setMemoryV1(ac AppCgroup, bytes int64) error {
	v := strconv.FormatInt(bytes, 10)
	swap := func() error {
		err := writeV1(ac, "memory", "memory.memsw.limit_in_bytes", v)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			return nil
		}
		return err
	}
	limit := func() error { return writeV1(ac, "memory", "memory.limit_in_bytes", v) }
	err := limit()
	switch {
	case err == nil:
		return swap()
	case errors.Is(err, unix.EBUSY): // a running app has more
		return err
	}
	if err := swap(); err != nil {
		return err
	}
	return limit()
}

func setCPUV1(ac AppCgroup, millis int64, shares uint64) error {
	if millis > 0 {
		if err := writeV1(ac, "cpu", "cpu.cfs_period_us", strconv.Itoa(cpuPeriod)); err != nil {
			return err
		}
		if err := writeV1(ac, "cpu", "cpu.cfs_quota_us", strconv.FormatInt(quota(millis), 10)); err != nil {
			return err
		}
	}
	if shares > 0 {
		return writeV1(ac, "cpu", "cpu.shares", strconv.FormatUint(shares, 10))
	}
	return nil
}

func setPidsV1(ac AppCgroup) error {
	return writeV1(ac, "pids", "pids.max", strconv.Itoa(PidsMax))
}

// setDevicesV1 closes the cgroup and opens what is listed. One write a rule: the kernel reads no more.
func setDevicesV1(ac AppCgroup, devices []Device) error {
	if err := writeV1(ac, "devices", "devices.deny", "a"); err != nil {
		return err
	}
	for _, d := range devices {
		if err := writeV1(ac, "devices", "devices.allow", d.String()); err != nil {
			return err
		}
	}
	return nil
}
