package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
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
		{"podman (conmon, catatonit)", []string{"conmon", "catatonit", "podman"}, b.podmanPod},
	} {
		var got []float64
		for _, apps := range []int{1, 3} {
			before := engineProcesses(engine.comm)
			stop, err := engine.start(apps)
			if err != nil {
				return err
			}
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

func (b *peers) podmanPod(apps int) (func() error, error) {
	id := ""
	if apps > 1 {
		var err error
		if id, err = b.output("podman", b.podman("pod", "create", "--network=none")...); err != nil {
			return nil, err
		}
	}
	for range apps {
		args := append(append([]string{"run", "-d", "--pod", id}, limits...), b.image, "/bin/sleep", "1000")
		if apps == 1 {
			args = append(append([]string{"run", "-d", "--network=none"}, limits...), b.image, "/bin/sleep", "1000")
		}
		if _, err := b.output("podman", b.podman(args...)...); err != nil {
			return nil, err
		}
	}
	return func() error {
		if err := b.do("podman", b.podman("rm", "-fa", "-t", "0")...); err != nil {
			return err
		}
		return b.do("podman", b.podman("pod", "rm", "-fa")...)
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

// engineProcesses are the pids whose command name, or whose program's name, begins with one of the words. (A
// pod's init is executed by descriptor, so its command name is a number.)
func engineProcesses(comm []string) map[int]bool {
	out := map[int]bool{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		b, err := os.ReadFile(d + "/comm")
		if err != nil {
			continue
		}
		exe, _ := os.Readlink(d + "/exe")
		for _, c := range comm {
			named := strings.HasPrefix(string(b), c) || strings.HasPrefix(filepath.Base(exe), c)
			if pid, err := strconv.Atoi(filepath.Base(d)); err == nil && named {
				out[pid] = true
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
