package limits

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// InUseError says that an app uses more memory than its new limit, and that the kernel gets none of it back. Nothing
// has been changed.
type InUseError struct{ Want, Used int64 }

func (e *InUseError) Error() string {
	return fmt.Sprintf("app.memory: the app uses %d KiB, which no limit of %d KiB can hold", e.Used>>10, e.Want>>10)
}

// Update changes limits of a running app, all that are asked for or none. A zero is left as it is.
func Update(ctx context.Context, ac AppCgroup, r poddir.Resources) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	memory, cpu, files := updateMemoryV1, setCPUV1, []string{"cpu.cfs_period_us", "cpu.cfs_quota_us", "cpu.shares"}
	cpuDir := ac.Dirs["cpu"]
	switch ac.Version {
	case 1:
	case 2:
		memory, cpu, files, cpuDir = updateMemoryV2, setCPUV2, []string{"cpu.max", "cpu.weight"}, ac.Dirs[""]
	default:
		return fmt.Errorf("app.memory, app.cpu: %w: this host has no cgroups", errNoController)
	}
	var undo []func()
	if r.CPUMillis > 0 || r.CPUShares > 0 {
		for _, name := range files {
			path := filepath.Join(cpuDir, name)
			if old, err := os.ReadFile(path); err == nil {
				undo = append(undo, func() { _ = os.WriteFile(path, bytes.TrimSpace(old), 0) })
			}
		}
		if len(undo) == 0 {
			return fmt.Errorf("app.cpu: %w", errNoController)
		}
		if err := cpu(ac, r.CPUMillis, r.CPUShares); err != nil {
			restore(undo)
			return fmt.Errorf("app.cpu: %w", err)
		}
	}
	if r.MemoryBytes > 0 {
		if err := memory(ac, r.MemoryBytes); err != nil {
			restore(undo)
			if errors.As(err, new(*InUseError)) {
				return err
			}
			return fmt.Errorf("app.memory: %w", err)
		}
	}
	return nil
}

func restore(undo []func()) {
	for _, f := range undo {
		f()
	}
}

// updateMemoryV1 leaves a limit that the kernel cannot reach as it was.
func updateMemoryV1(ac AppCgroup, bytes int64) error {
	old, err := readNumber(ac.Dirs["memory"], "memory.limit_in_bytes")
	if err != nil {
		return err
	}
	err = setMemoryV1(ac, bytes)
	if err == nil {
		return nil
	}
	_ = writeV1(ac, "memory", "memory.limit_in_bytes", strconv.FormatInt(old, 10))
	if !errors.Is(err, unix.EBUSY) {
		return err
	}
	used, err := readNumber(ac.Dirs["memory"], "memory.usage_in_bytes")
	if err != nil {
		return err
	}
	return &InUseError{Want: bytes, Used: used}
}

// updateMemoryV2 makes room first. memory.max alone has the kernel kill where it cannot get memory back; writing
// memory.high only takes what can be had, and the app waits meanwhile for what it allocates.
func updateMemoryV2(ac AppCgroup, bytes int64) error {
	dir := ac.Dirs[""]
	used, err := readNumber(dir, "memory.current")
	if err != nil {
		return err
	}
	if used > bytes {
		high := filepath.Join(dir, "memory.high")
		if err := os.WriteFile(high, []byte(strconv.FormatInt(bytes, 10)), 0); err != nil {
			return err
		}
		defer func() { _ = os.WriteFile(high, []byte("max"), 0) }()
		if used, err = readNumber(dir, "memory.current"); err != nil {
			return err
		}
		if used > bytes {
			return &InUseError{Want: bytes, Used: used}
		}
	}
	return setMemoryV2(ac, bytes)
}

func readNumber(dir, file string) (int64, error) {
	if dir == "" {
		return 0, errNoController
	}
	b, err := os.ReadFile(filepath.Join(dir, file))
	if errors.Is(err, os.ErrNotExist) {
		return 0, errNoController
	}
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(bytes.TrimSpace(b)), 10, 64)
}
