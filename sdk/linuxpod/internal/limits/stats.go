package limits

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// Usage is what an app uses now. A figure whose controller is missing is zero.
type Usage struct {
	MemoryBytes    uint64
	CPUNanoseconds uint64
	Pids           uint64
}

// Stats reads an app's use of resources.
func Stats(ac AppCgroup) (Usage, error) {
	var u Usage
	var err error
	read := func(dir, file string, into *uint64) {
		if dir == "" || err != nil {
			return
		}
		b, rerr := os.ReadFile(filepath.Join(dir, file))
		if rerr != nil {
			return
		}
		if *into, rerr = strconv.ParseUint(string(bytes.TrimSpace(b)), 10, 64); rerr != nil {
			err = fmt.Errorf("read %s: %w", filepath.Join(dir, file), rerr)
		}
	}
	switch ac.Version {
	case 1:
		read(ac.Dirs["memory"], "memory.usage_in_bytes", &u.MemoryBytes)
		read(ac.Dirs["cpuacct"], "cpuacct.usage", &u.CPUNanoseconds)
		read(ac.Dirs["pids"], "pids.current", &u.Pids)
	case 2:
		read(ac.Dirs[""], "memory.current", &u.MemoryBytes)
		read(ac.Dirs[""], "pids.current", &u.Pids)
		if b, rerr := os.ReadFile(filepath.Join(ac.Dirs[""], "cpu.stat")); rerr == nil {
			var usec uint64
			if _, serr := fmt.Sscanf(string(b), "usage_usec %d", &usec); serr == nil {
				u.CPUNanoseconds = usec * 1000
			}
		}
	}
	return u, err
}
