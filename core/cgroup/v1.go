package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// v1Controllers are those that something is done with: limits, statistics, device rules, and the freezer to
// kill without a race. A pod stays in its caller's cgroup of every other controller (blkio, cpuset, net_cls),
// whose settings it thereby has; a directory there would cost time and change nothing.
func v1Controllers() []string {
	return []string{"memory", "cpu", "cpuacct", "pids", "devices", "freezer"}
}

// createV1 makes the pod's directory in each hierarchy. own is /proc/self/cgroup.
func createV1(mounts map[string]mount, own map[string]string, uuid string) poddir.Cgroup {
	c := poddir.Cgroup{Version: 1, Dirs: map[string]string{}, Skipped: map[string]string{}}
	for _, name := range v1Controllers() {
		parent, err := v1Parent(mounts, own, name)
		if err != nil {
			c.Skipped[name] = err.Error()
			continue
		}
		dir := filepath.Join(parent, prefix+uuid)
		if err := os.Mkdir(dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
			c.Skipped[name] = err.Error()
			continue
		}
		c.Dirs[name] = dir
	}
	if len(c.Dirs) == 0 {
		c.Version = 0
		return c
	}
	return c
}

// v1Parent returns the directory that this process is in, in the hierarchy of one controller.
func v1Parent(mounts map[string]mount, own map[string]string, name string) (string, error) {
	m, ok := mounts[name]
	if !ok {
		return "", errors.New("not mounted")
	}
	path, ok := own[name]
	if !ok {
		return "", fmt.Errorf("mounted at %s, but not in %s", m.point, selfCgroup)
	}
	rel, err := filepath.Rel(m.root, path)
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return "", fmt.Errorf("the mount at %s shows %s, which does not hold our own cgroup %s", m.point, m.root, path)
	}
	return filepath.Join(m.point, rel), nil
}
