package cgroup

import (
	"errors"
	"fmt"
	"path/filepath"

	"slices"
	"strings"

	"github.com/containerd/cgroups/v3"
	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/core/internal/pattern"
	"github.com/rkt/rkt/v2/proto/poddir"
)

// ErrNeedPid says that the pod has no cgroup to kill it by: use the pidfd of its supervisor.
var ErrNeedPid = errors.New("no cgroup to kill the pod by")

const (
	prefix     = "rkt-"
	scopeExt   = ".scope"
	podLeaf    = "pod"        // below a scope
	ownLeaf    = "supervisor" // below a delegated cgroup or a scope; rkt's own place
	dirMode    = 0o755
	selfCgroup = "/proc/self/cgroup"
	unifiedDir = "/sys/fs/cgroup"
)

var uuidRE = pattern.New(`^[0-9A-Za-z][0-9A-Za-z-]{0,63}$`)

// Create makes the pod's cgroup. On cgroup v2 it may move this process: call it before anything is started
// whose place matters, and once per process. A second call for the same pod, after a crash, finds what is
// there.
//
// It is worth a goroutine of its own: a scope costs a D-Bus round trip and a move an RCU grace period. See Moves.
func Create(uuid string) (poddir.Cgroup, error) {
	if !uuidRE.MatchString(uuid) {
		return poddir.Cgroup{}, fmt.Errorf("create cgroup: %q is no pod UUID", uuid)
	}
	own, unified, err := cgroups.ParseCgroupFileUnified(selfCgroup)
	if err != nil {
		return poddir.Cgroup{}, fmt.Errorf("create cgroup: %w", err)
	}
	if cgroups.Mode() == cgroups.Unified {
		return createV2(unifiedDir, unified, uuid, runsSystemd()), nil
	}
	mounts, err := readMounts()
	if err != nil {
		return poddir.Cgroup{}, fmt.Errorf("create cgroup: %w", err)
	}
	return createV1(mounts, own, uuid), nil
}

// Moves says whether Create may move this process.
func Moves() bool { return cgroups.Mode() == cgroups.Unified }

// dirs returns the pod's directories, each once (co-mounted controllers share one), after a look at each:
// runtime.json is root's, but a wrong word in it must not kill or remove a stranger's cgroup.
func dirs(c poddir.Cgroup) ([]string, error) {
	var out []string
	for _, d := range c.Dirs {
		if !looksOurs(d) {
			return nil, fmt.Errorf("%q is not the cgroup of a pod", d)
		}
		var st unix.Statfs_t
		switch err := unix.Statfs(d, &st); {
		case errors.Is(err, unix.ENOENT):
			continue
		case err != nil:
			return nil, fmt.Errorf("stat cgroup %s: %w", d, err)
		case st.Type != unix.CGROUP_SUPER_MAGIC && st.Type != unix.CGROUP2_SUPER_MAGIC:
			return nil, fmt.Errorf("%s is not in a cgroup file system", d)
		}
		out = append(out, d)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func looksOurs(dir string) bool {
	if !filepath.IsAbs(dir) || filepath.Clean(dir) != dir {
		return false
	}
	name := filepath.Base(dir)
	if name == podLeaf {
		name = filepath.Base(filepath.Dir(dir))
		if !strings.HasSuffix(name, scopeExt) {
			return false
		}
	}
	return strings.HasPrefix(name, prefix) && len(name) > len(prefix)
}
