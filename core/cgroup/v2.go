package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/containerd/cgroups/v3"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// v2Controllers are the ones that an app's limits need. Devices are an eBPF program there, not a controller.
func v2Controllers() []string { return []string{"cpu", "memory", "pids"} }

// createV2 tries the places of the package comment in order. own is our path in the hierarchy at root.
func createV2(root, own, uuid string, systemd bool) poddir.Cgroup {
	c := poddir.Cgroup{Version: 2, Skipped: map[string]string{}}
	place := func(base, name string, move bool) error {
		dir, err := makeV2(base, name, move, c.Skipped)
		if err != nil {
			return err
		}
		c.Dirs = map[string]string{"": dir}
		return nil
	}

	base := filepath.Join(root, own)
	if isDelegated(base) || (!systemd && isOurs(base)) {
		if place(base, prefix+uuid, true) == nil {
			return c
		}
		clear(c.Skipped) // the next place may do better
	}
	if systemd {
		scope, err := startScope(root, uuid)
		if err == nil {
			err = place(scope, podLeaf, true)
		}
		if err == nil {
			return c
		}
		clear(c.Skipped)
		c.Skipped["systemd"] = err.Error()
	}
	if err := place(root, prefix+uuid, false); err != nil {
		c.Version = 0
		c.Skipped["cgroup2"] = err.Error()
	}
	return c
}

// runsSystemd is sd_booted(3).
func runsSystemd() bool {
	fi, err := os.Lstat("/run/systemd/system")
	return err == nil && fi.IsDir()
}

// isDelegated says whether systemd gave the subtree at base away: it marks such cgroups since v236
// (trusted.*) and v251 (user.*, for those without CAP_SYS_ADMIN).
func isDelegated(base string) bool {
	for _, name := range []string{"trusted.delegate", "user.delegate"} {
		var b [8]byte
		n, err := unix.Lgetxattr(base, name, b[:])
		if err == nil && string(b[:n]) == "1" {
			return true
		}
	}
	return false
}

// isOurs says whether base is a cgroup other than the root with nobody in it but us, as in a container that
// has rkt as its command.
func isOurs(base string) bool {
	if _, err := os.Lstat(filepath.Join(base, "cgroup.type")); err != nil {
		return false // only the real root has no type
	}
	_, foreign, err := family(base)
	return err == nil && !foreign
}

// makeV2 makes the pod's directory name below base, with the controllers enabled down to its children. With
// move, this process and its children leave base for a leaf first: a cgroup with processes in it cannot pass
// controllers on.
func makeV2(base, name string, move bool, skipped map[string]string) (string, error) {
	if move {
		if err := moveToLeaf(base); err != nil {
			return "", err
		}
	}
	dir := filepath.Join(base, name)
	if err := os.Mkdir(dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	for _, d := range []string{base, dir} {
		if err := enable(d, skipped); err != nil && move {
			_ = os.Remove(dir)
			return "", err
		}
	}
	return dir, nil
}

// moveToLeaf takes us and our children from base to base/supervisor. It refuses when others are there: they
// are not ours to move, and with them in it base is of no use.
func moveToLeaf(base string) error {
	ours, foreign, err := family(base)
	if err != nil {
		return err
	}
	if foreign {
		return fmt.Errorf("%s holds other processes than ours", base)
	}
	if len(ours) == 0 {
		return nil
	}
	leaf := filepath.Join(base, ownLeaf)
	if err := os.Mkdir(leaf, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	procs := filepath.Join(leaf, "cgroup.procs")
	for _, pid := range ours {
		err := os.WriteFile(procs, fmt.Appendf(nil, "%d", pid), 0)
		if err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}

// enable passes the controllers on from dir to its children, in one write, since each takes the lock for
// moves. What dir does not have itself is noted in skipped.
func enable(dir string, skipped map[string]string) error {
	have, err := words(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	on, err := words(filepath.Join(dir, "cgroup.subtree_control"))
	if err != nil {
		return err
	}
	var add []string
	for _, name := range v2Controllers() {
		switch {
		case slices.Contains(on, name):
		case slices.Contains(have, name):
			add = append(add, "+"+name)
		case skipped[name] == "":
			skipped[name] = "not available in " + dir
		}
	}
	if len(add) == 0 {
		return nil
	}
	err = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte(strings.Join(add, " ")), 0)
	if err != nil {
		for _, name := range add {
			skipped[name[1:]] = err.Error()
		}
	}
	return err
}

func words(name string) ([]string, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return strings.Fields(string(b)), nil
}

// ownV2 is our path in the unified hierarchy.
func ownV2() (string, error) {
	_, path, err := cgroups.ParseCgroupFileUnified(selfCgroup)
	return path, err
}
