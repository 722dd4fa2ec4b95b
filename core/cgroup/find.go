package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/containerd/cgroups/v3"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// Find looks for the cgroup of a pod whose record of it was never written: rkt was killed between Create and
// runtime.json. It walks the hierarchies, so it finds what was made below any caller's own cgroup; it is for gc,
// not for anything that is waited for.
func Find(uuid string) (poddir.Cgroup, error) {
	if !uuidRE.MatchString(uuid) {
		return poddir.Cgroup{}, fmt.Errorf("find cgroup: %q is no pod UUID", uuid)
	}
	c := poddir.Cgroup{Version: 1, Dirs: map[string]string{}}
	if cgroups.Mode() == cgroups.Unified {
		dir, err := findBelow(unifiedDir, uuid)
		if err != nil || dir == "" {
			return poddir.Cgroup{}, err
		}
		return poddir.Cgroup{Version: 2, Dirs: map[string]string{"": dir}}, nil
	}
	mounts, err := readMounts()
	if err != nil {
		return poddir.Cgroup{}, fmt.Errorf("find cgroup: %w", err)
	}
	for _, name := range v1Controllers() {
		m, ok := mounts[name]
		if !ok {
			continue
		}
		dir, err := findBelow(m.point, uuid)
		if err != nil {
			return poddir.Cgroup{}, err
		}
		if dir != "" {
			c.Dirs[name] = dir
		}
	}
	if len(c.Dirs) == 0 {
		return poddir.Cgroup{}, nil
	}
	return c, nil
}

// findBelow returns the pod's directory below root, or "". Cgroups come and go while it walks.
func findBelow(root, uuid string) (string, error) {
	found := ""
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case !d.IsDir():
			return nil
		case d.Name() == prefix+uuid:
			found = path
			return fs.SkipAll
		case d.Name() == prefix+uuid+scopeExt:
			found = filepath.Join(path, podLeaf)
			return fs.SkipAll
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("find cgroup of pod %s: %w", uuid, err)
	}
	return found, nil
}
