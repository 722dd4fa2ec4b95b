package pod

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
)

const cgroupRoot = "/sys/fs/cgroup"

// controllers are those that rkt has limits and keys for.
func controllers() []string {
	return []string{"memory", "cpu", "cpuacct", "devices", "freezer", "pids"}
}

// MakeCgroup gives the pod a cgroup, as core makes one, before Run. The error says why this host has none.
func (p *Pod) MakeCgroup() error {
	name := "rkt-conformance-" + p.Doc.UUID
	cg := poddir.Cgroup{Version: 1, Dirs: map[string]string{}}
	var st unix.Statfs_t
	if err := unix.Statfs(cgroupRoot, &st); err == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
		cg.Version, cg.Dirs = 2, map[string]string{"": filepath.Join(cgroupRoot, name)}
	} else {
		for _, c := range controllers() {
			if _, err := os.Stat(filepath.Join(cgroupRoot, c, "tasks")); err == nil {
				cg.Dirs[c] = filepath.Join(cgroupRoot, c, name)
			}
		}
	}
	if len(cg.Dirs) == 0 {
		return errors.New("no cgroups are mounted")
	}
	for _, dir := range cg.Dirs {
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) { // controllers that are mounted together
			p.dropCgroup(cg)
			return err
		}
	}
	if cg.Version == 2 {
		for _, dir := range []string{cgroupRoot, cg.Dirs[""]} {
			if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+memory +pids +cpu"), 0); err != nil {
				p.dropCgroup(cg)
				return err
			}
		}
	}
	p.Runtime.Cgroup = cg
	return p.Write()
}

// dropCgroup removes the pod's cgroup with everything below it.
func (p *Pod) dropCgroup(cg poddir.Cgroup) {
	for _, dir := range cg.Dirs {
		// The kernel lets go of a cgroup some time after the last process in it has ended.
		for range 100 {
			if remove(dir) == nil {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

func remove(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, d := range entries {
		if d.IsDir() {
			_ = remove(filepath.Join(dir, d.Name()))
		}
	}
	return unix.Rmdir(dir)
}

// members are the processes in the pod's cgroup, of any controller, and below it.
func (p *Pod) members() []int {
	var out []int
	for _, dir := range p.Runtime.Cgroup.Dirs {
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.Name() != "cgroup.procs" {
				return nil // a cgroup that has gone meanwhile has no members
			}
			b, _ := os.ReadFile(path)
			for word := range strings.FieldsSeq(string(b)) {
				if pid, err := strconv.Atoi(word); err == nil {
					out = append(out, pid)
				}
			}
			return nil
		})
	}
	return out
}

// InCgroup says whether the process is in the pod's cgroup, or below it, of every controller.
func (p *Pod) InCgroup(pid int) error {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return err
	}
	for controller, dir := range p.Runtime.Cgroup.Dirs {
		want := "/" + filepath.Base(dir)
		found := false
		for line := range strings.Lines(string(b)) {
			f := strings.SplitN(strings.TrimSpace(line), ":", 3)
			if len(f) == 3 && slices.Contains(strings.Split(f[1], ","), controller) {
				found = strings.HasSuffix(f[2], want) || strings.Contains(f[2], want+"/")
			}
		}
		if !found {
			return fmt.Errorf("process %d is not in the pod's cgroup of controller %q", pid, controller)
		}
	}
	return nil
}
