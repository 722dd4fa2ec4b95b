package vmhost

import (
	"math"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// Size is how large a machine is.
type Size struct {
	MemoryMiB int `json:"memoryMiB"`
	CPUs      int `json:"cpus"`
}

// SizeOf follows the rule of the package comment. hostCPUs is what the host has.
func SizeOf(c *Config, pod *poddir.Pod, hostCPUs int, emulated bool) Size {
	memory := int64(c.MemoryOverhead)
	var millis int64
	for i := range pod.Apps {
		r := &pod.Apps[i].Resources
		limit := r.MemoryBytes
		if limit <= 0 {
			limit = int64(c.MemoryPerApp)
		}
		if memory > math.MaxInt64-limit-mib { // absurd limits add up to an absurd machine, not to a small one
			memory = math.MaxInt64 - mib
		} else {
			memory += limit
		}
		millis += max(0, min(r.CPUMillis, 1<<40))
	}
	memory = max(memory, int64(c.MemoryMin))
	cpus := min(max(int((millis+999)/1000), c.CPUs), max(hostCPUs, 1))
	if emulated {
		// Emulated processors boot slower together than one alone, and have been seen to lock up.
		cpus = 1
	}
	return Size{MemoryMiB: int((memory + mib - 1) / mib), CPUs: cpus}
}
