package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// Procs returns the host pids of every process of the pod's apps, sorted. They are for people to look at: by
// the time one is read it may be another's.
func Procs(c poddir.Cgroup) ([]int, error) {
	ds, err := dirs(c)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	return procs(ds)
}

// Populated says whether an app's process is left.
func Populated(c poddir.Cgroup) (bool, error) {
	if c.Version == 2 {
		for _, d := range c.Dirs {
			if b, err := os.ReadFile(filepath.Join(d, "cgroup.events")); err == nil {
				return populated(b), nil
			}
		}
	}
	pids, err := Procs(c)
	return len(pids) > 0, err
}

func populated(events []byte) bool { return bytes.Contains(events, []byte("populated 1")) }

// procs collects the processes below all of ds. A process that is in one v1 hierarchy alone is found too.
func procs(ds []string) ([]int, error) {
	var out []int
	for _, d := range ds {
		subs, err := tree(d)
		if err != nil {
			return nil, err
		}
		for _, sub := range subs {
			pids, err := readProcs(sub)
			if err != nil && !gone(err) {
				return nil, err
			}
			out = append(out, pids...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// tree returns dir and all cgroups below it, parents first.
func tree(dir string) ([]string, error) {
	var out []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && gone(err):
			return nil
		case err != nil:
			return err
		case d.IsDir():
			out = append(out, path)
		}
		return nil
	})
	return out, err
}

func readProcs(dir string) ([]int, error) {
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return nil, err
	}
	var out []int
	for _, f := range bytes.Fields(b) {
		pid, err := strconv.Atoi(string(f))
		if err != nil {
			return nil, fmt.Errorf("read %s/cgroup.procs: %w", dir, err)
		}
		out = append(out, pid)
	}
	return out, nil
}

// gone: a cgroup that was removed answers ENODEV on descriptors that are still open.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV)
}
