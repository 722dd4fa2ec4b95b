package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// memory prints the PSS of all engine processes of one running pod, of 1 and of 3 apps.
func (b *peers) memory() error {
	fmt.Printf("\nmemory of a running pod: PSS of all engine processes, MiB\n%-44s %9s %9s\n", "", "1 app", "3 apps")
	for _, engine := range []struct {
		name  string
		comm  []string
		start func(apps int) (func() error, error)
	}{
		{"rkt", []string{"rkt"}, b.rktPod},
		{"podman (a conmon each, one network)", []string{"conmon", "podman"}, b.podmanPod},
	} {
		var got []float64
		for _, apps := range []int{1, 3} {
			before := engineProcesses(engine.comm)
			stop, err := engine.start(apps)
			if err != nil {
				return err
			}
			time.Sleep(2 * time.Second) // what is asked is a pod's rest, not its start
			var sum float64
			for pid := range engineProcesses(engine.comm) {
				if !before[pid] {
					sum += pss(pid)
				}
			}
			got = append(got, sum/1024)
			if err := stop(); err != nil {
				return err
			}
		}
		fmt.Printf("%-44s %9.1f %9.1f\n", engine.name, got[0], got[1])
	}
	return nil
}

func (b *peers) rktPod(apps int) (func() error, error) {
	args := []string{"run", "--detach", "--rm", "--net=none"}
	for i := range apps {
		args = append(args, b.image, "--name=a"+strconv.Itoa(i), "--exec=/bin/sleep", "--", "1000", "---")
	}
	out, err := b.output(b.rkt, args...)
	return func() error { return b.do(b.rkt, "stop", "--force", out) }, err
}

// podmanPod is containers that share the first one's network: podman's own pods need an image that it builds.
func (b *peers) podmanPod(apps int) (func() error, error) {
	network := "none"
	for range apps {
		args := append(append([]string{"run", "-d", "--network=" + network}, limits...), b.image, "/bin/sleep", "1000")
		id, err := b.output("podman", b.podman(args...)...)
		if err != nil {
			return nil, err
		}
		if network == "none" {
			network = "container:" + id
		}
	}
	return func() error {
		b.do("podman", b.podman("rm", "-fa", "-t", "0")...) // not the first one, which others depend on
		return b.do("podman", b.podman("rm", "-fa", "-t", "0")...)
	}, nil
}

func (b *peers) output(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = b.env
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", filepath.Base(name), strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}

// engineProcesses are the processes whose command name begins with one of the words. A rkt supervisor's only child
// is the pod's init, which is executed by descriptor and so has a number for its name.
func engineProcesses(comm []string) map[int]bool {
	out := map[int]bool{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		name, err := os.ReadFile(d + "/comm")
		pid, perr := strconv.Atoi(filepath.Base(d))
		if err != nil || perr != nil {
			continue
		}
		for _, c := range comm {
			if !strings.HasPrefix(string(name), c) {
				continue
			}
			out[pid] = true
			if c == "rkt" {
				for _, child := range children(pid) {
					out[child] = true
				}
			}
		}
	}
	return out
}

func children(pid int) []int {
	var out []int
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, l := range lists {
		b, _ := os.ReadFile(l)
		for _, f := range strings.Fields(string(b)) {
			if n, err := strconv.Atoi(f); err == nil {
				out = append(out, n)
			}
		}
	}
	return out
}

// pss is in KiB.
func pss(pid int) float64 {
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if rest, ok := strings.CutPrefix(sc.Text(), "Pss:"); ok {
			n, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return n
		}
	}
	return 0
}
