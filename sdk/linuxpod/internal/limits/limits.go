package limits

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rkt/rkt/v2/proto/poddir"
)

const (
	dirPrefix = "app-"
	dirMode   = 0o755

	// PidsMax is how many processes and threads an app may have; podman's default, too.
	PidsMax = 2048

	cpuPeriod   = 100_000 // microseconds
	minCPUQuota = 1_000   // what the kernel accepts
)

// AppCgroup is where an app's processes belong.
type AppCgroup struct {
	Version int `json:"version"` // as in poddir.Cgroup
	// Dirs are, on v1, the directories by controller: the first process of the app is to be written into
	// cgroup.procs of each, once each (co-mounted controllers share one). On v2 the only key is "".
	Dirs map[string]string `json:"dirs,omitempty"`
}

// Paths returns the directories, each once, sorted.
func (c AppCgroup) Paths() []string {
	return slices.Compact(slices.Sorted(maps.Values(c.Dirs)))
}

// Apply makes the app's cgroup and sets its limits. volumes are the pod's: those that are devices of the host
// and mounted in the app are opened to it. The strings are warnings for the user.
func Apply(ctx context.Context, cg poddir.Cgroup, app *poddir.App, volumes ...poddir.Volume) (AppCgroup, []string, error) {
	if err := ctx.Err(); err != nil {
		return AppCgroup{}, nil, err
	}
	if err := checkName(app.Name); err != nil {
		return AppCgroup{}, nil, err
	}
	ac := AppCgroup{Version: cg.Version, Dirs: map[string]string{}}
	w := &warnings{app: app.Name, skipped: maps.Clone(cg.Skipped)}
	if w.skipped == nil {
		w.skipped = map[string]string{}
	}
	for name, dir := range cg.Dirs {
		if name == "freezer" {
			ac.Dirs[name] = dir // nothing is set there: the pod is frozen as a whole
			continue
		}
		sub := filepath.Join(dir, dirPrefix+app.Name)
		if err := os.Mkdir(sub, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
			w.skipped[name] = err.Error()
			continue
		}
		ac.Dirs[name] = sub
	}
	devices := append(DefaultDevices(), HostDevices(app, volumes)...)
	switch {
	case cg.Version == 1:
		w.note("pids", "process limit", setPidsV1(ac))
		w.note("devices", "list of devices", setDevicesV1(ac, devices))
	case cg.Version == 2 && ac.Dirs[""] != "":
		w.note("pids", "process limit", setPidsV2(ac))
		w.note("devices", "list of devices", setDevicesV2(ac, devices))
	default:
		ac.Version = 0
		w.note("pids", "process limit", errNoController)
		w.note("devices", "list of devices", errNoController)
	}
	limit(ac, app.Resources, w)
	return ac, w.list, nil
}

func limit(ac AppCgroup, r poddir.Resources, w *warnings) {
	memory, cpu := setMemoryV1, setCPUV1
	switch ac.Version {
	case 1:
	case 2:
		memory, cpu = setMemoryV2, setCPUV2
	default:
		memory = func(AppCgroup, int64) error { return errNoController }
		cpu = func(AppCgroup, int64, uint64) error { return errNoController }
	}
	if r.MemoryBytes > 0 {
		w.note("memory", "memory limit", memory(ac, r.MemoryBytes))
	}
	if r.CPUMillis > 0 || r.CPUShares > 0 {
		w.note("cpu", "CPU limit", cpu(ac, r.CPUMillis, r.CPUShares))
	}
}

func checkName(app string) error {
	if app == "" || len(app) > 200 || strings.ContainsAny(app, "/\x00\n") {
		return fmt.Errorf("make cgroup: %q cannot name an app", app)
	}
	return nil
}

func quota(millis int64) int64 { return max(millis*cpuPeriod/1000, minCPUQuota) }
