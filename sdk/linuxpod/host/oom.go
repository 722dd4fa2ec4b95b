package host

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/plan"
)

// oomKilled says whether the kernel has killed a process of the app at its memory limit. The plan is read for
// nothing else here, so it is read when it is wanted.
func oomKilled(app string) bool {
	p, err := plan.Read(".")
	if err != nil {
		return false
	}
	a := p.App(app)
	return a != nil && oomKills(a.Cgroup) > 0
}

// oomKills counts the processes of an app that the kernel has killed at the app's memory limit. The cgroup is
// new with each start of the pod, and so is the count.
func oomKills(c plan.Cgroup) uint64 {
	file := filepath.Join(c.Dirs["memory"], "memory.oom_control") // v1: has oom_kill since Linux 4.13
	if c.Version == 2 {
		file = filepath.Join(c.Dirs[""], "memory.events")
	} else if c.Dirs["memory"] == "" {
		return 0
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if key == "oom_kill" {
			n, err := strconv.ParseUint(value, 10, 64)
			if err != nil {
				return 0
			}
			return n
		}
	}
	return 0
}
