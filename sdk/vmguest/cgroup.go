package vmguest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// Where the cgroups are. The agent stays in the root.
const (
	cgroupRoot = "/sys/fs/cgroup"
	podCgroup  = cgroupRoot + "/pod"
)

func mountCgroups() error {
	return fileSystem{"cgroup2", cgroupRoot, unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, "nsdelegate"}.mount()
}

// makePodCgroup makes the pod's cgroup with every controller that the kernel has, as core does on a host.
func makePodCgroup() (poddir.Cgroup, error) {
	if err := os.Mkdir(podCgroup, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return poddir.Cgroup{}, err
	}
	cg := poddir.Cgroup{Version: 2, Dirs: map[string]string{"": podCgroup}, Skipped: map[string]string{}}
	b, err := os.ReadFile(filepath.Join(cgroupRoot, "cgroup.controllers"))
	if err != nil {
		return cg, err
	}
	have := map[string]bool{}
	for _, c := range strings.Fields(string(b)) {
		have[c] = true
		for _, dir := range []string{cgroupRoot, podCgroup} {
			// One at a time: the kernel takes all or none of a line.
			if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+c), 0); err != nil {
				cg.Skipped[c] = fmt.Sprintf("the guest's kernel refuses it: %v", err)
			}
		}
	}
	for _, c := range []string{"memory", "cpu", "pids"} {
		if !have[c] {
			cg.Skipped[c] = "the guest's kernel does not have it"
		}
	}
	return cg, nil
}
