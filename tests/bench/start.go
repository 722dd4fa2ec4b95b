package main

import (
	"fmt"
	"os/exec"
	"slices"
	"syscall"
	"time"
)

// row is one way to do the same thing.
type row struct {
	name  string
	run   []string
	reset func() error // before each run, not measured
	wall  []time.Duration
	cpu   []time.Duration
	rss   int64 // KiB, the largest of all runs
}

// alternate runs each row once, n times over, so that noise falls on all alike.
func (b *peers) alternate(rows []*row, n int) error {
	for i := -1; i < n; i++ { // the first round warms caches and is not counted
		for _, r := range rows {
			if r.reset != nil {
				if err := r.reset(); err != nil {
					return err
				}
			}
			cmd := exec.Command(r.run[0], r.run[1:]...)
			cmd.Env = b.env
			begin := time.Now()
			out, err := cmd.CombinedOutput()
			wall := time.Since(begin)
			if err != nil {
				return fmt.Errorf("%s: %w\n%s", r.name, err, out)
			}
			if i < 0 {
				continue
			}
			r.wall = append(r.wall, wall)
			r.cpu = append(r.cpu, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
			if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
				r.rss = max(r.rss, u.Maxrss)
			}
		}
	}
	return nil
}

func median(d []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(d))
	return s[len(s)/2]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// show prints the rows with the ratio of each median to that of the first row.
func show(title string, rows []*row) {
	fmt.Printf("\n%s\n%-44s %9s %9s %9s %7s\n", title, "", "min ms", "median ms", "cpu ms", "ratio")
	base := median(rows[0].wall)
	for _, r := range rows {
		m := median(r.wall)
		fmt.Printf("%-44s %9.1f %9.1f %9.1f %7.2f\n", r.name, ms(slices.Min(r.wall)), ms(m), ms(median(r.cpu)), float64(m)/float64(base))
	}
}

func (b *peers) start(n int) error {
	podman := func(net string) []string {
		return append([]string{"podman"}, b.podman(append(append([]string{"run", "--rm", "--network=" + net}, limits...), b.image, "/bin/true")...)...)
	}
	rkt := func(net string) []string {
		return []string{b.rkt, "run", "--rm", "--net=" + net, b.image, "--exec=/bin/true"}
	}
	sets := []struct {
		title string
		rows  []*row
	}{
		{"warm start of true to exit, network none", []*row{
			{name: "rkt run --net=none", run: rkt("none")},
			{name: "podman run --network=none (crun)", run: podman("none")},
			{name: "crun run (seccomp, memory limit)", run: []string{"crun", "--cgroup-manager=cgroupfs", "run", "--bundle", b.dir + "/bundle", "rkt-bench"}},
		}},
		{"warm start of true to exit, host's network", []*row{
			{name: "rkt run --net=host", run: rkt("host")},
			{name: "podman run --network=host (crun)", run: podman("host")},
		}},
		{"warm start of true to exit, default network", []*row{
			{name: "rkt run --net=default", run: rkt("default")},
			{name: "podman run --network=bridge (crun)", run: podman("bridge")},
		}},
	}
	for _, s := range sets {
		if err := b.alternate(s.rows, n); err != nil {
			return err
		}
		show(s.title, s.rows)
	}
	return nil
}
