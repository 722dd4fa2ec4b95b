package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// pss returns a process's proportional set size in KiB.
func pss(t *testing.T, pid int) (kib int) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if _, err := fmt.Sscanf(line, "Pss: %d kB", &kib); err == nil {
			return kib
		}
	}
	t.Fatalf("process %d has no Pss: %s", pid, b)
	return 0
}

// TestMemory holds the engine's share of a running pod to its budget: the supervisor and PID 1 together.
func TestMemory(t *testing.T) {
	layer := busybox(t)
	if os.Getenv("RKT_TEST_RACE") != "" {
		t.Skip("the race detector's own memory is not to be judged")
	}
	for _, n := range []int{1, 3} {
		var apps []poddir.App
		for i := range n {
			apps = append(apps, app(fmt.Sprintf("app%d", i), layer, "exec sleep 1000"))
		}
		p := newPod(t, apps...)
		p.start().awaitReady()
		time.Sleep(2 * time.Second) // memory of the start is given back after one
		pid := p.cmd.Process.Pid
		supervisor, init := pss(t, pid), pss(t, descendants(pid)[0])
		const budget = 8 << 10
		t.Logf("%d apps: supervisor %d KiB, PID 1 %d KiB", n, supervisor, init)
		if supervisor+init > budget {
			t.Errorf("%d apps: supervisor %d KiB and PID 1 %d KiB are more than %d KiB", n, supervisor, init, budget)
		}
		p.cmd.Process.Signal(os.Interrupt)
		p.wait()
	}
}
