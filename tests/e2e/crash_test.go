package e2e

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestKillAtRandom runs fetches and pods, several at once on one store, and sends SIGKILL to rkt, a plugin, a
// supervisor or a pod's init at random moments. After each round every command must read a state that makes
// sense; at the end gc must be able to remove everything, and the store must be whole.
//
// RKT_CRASH_ROUNDS and RKT_CRASH_SEED repeat a run.
func TestKillAtRandom(t *testing.T) {
	before := snapshot(t)
	rounds, seed := env("RKT_CRASH_ROUNDS", 100), env("RKT_CRASH_SEED", int(time.Now().UnixNano()%1e9))
	if testing.Short() {
		rounds = 10
	}
	t.Logf("seed %d, %d rounds of three commands", seed, rounds)
	c := newCrash(t, "crash", seed)
	c.next, c.parallel, c.within = c.anything, 3, 300*time.Millisecond
	c.run(rounds, 10)
	before.compare(t)
}

// TestKillMachinesAtRandom does the same with pods in virtual machines, two at once: what is killed is rkt, the plugin,
// the supervisor, QEMU or the process that cages it.
func TestKillMachinesAtRandom(t *testing.T) {
	if os.Getenv(envKernel) == "" || os.Getenv(envFlavors) == "linux" {
		t.Skipf("%s names no kernel for the guest: run make e2e", envKernel)
	}
	before := snapshot(t)
	rounds, seed := env("RKT_CRASH_VM_ROUNDS", 5), env("RKT_CRASH_SEED", int(time.Now().UnixNano()%1e9))
	t.Logf("seed %d, %d rounds of two machines", seed, rounds)
	c := newCrash(t, "crash-vm", seed)
	if err := configureFlavor("qemu", c.data+"-etc"); err != nil {
		t.Fatal(err)
	}
	c.next, c.parallel, c.within = c.machine, 2, 6*time.Second
	c.run(rounds, 2)
	before.compare(t)
}

func newCrash(t *testing.T, name string, seed int) *crash {
	return &crash{t: t, rnd: rand.New(rand.NewPCG(uint64(seed), 0)), bin: shared.bin, data: filepath.Join(shared.work, name)}
}

// run does the rounds, with gc after every so many, and ends.
func (c *crash) run(rounds, gcEvery int) {
	c.t.Helper()
	c.rkt("--insecure-options=http", "fetch", c.image("latest"))
	kills := 0
	for i := range rounds {
		kills += c.round()
		c.check()
		if i%gcEvery == gcEvery-1 {
			c.rkt("gc", "--grace-period=0s")
			c.check()
		}
	}
	c.t.Logf("%d processes killed", kills)
	c.end()
}

func env(name string, def int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return def
}

type crash struct {
	t    *testing.T
	rnd  *rand.Rand
	bin  string // directory of rkt
	data string

	next     func() *exec.Cmd
	parallel int
	within   time.Duration // of the start, somebody is killed
}

func (c *crash) image(tag string) string {
	return "docker://" + shared.registry + "/busybox:" + tag
}

func (c *crash) command(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.bin, "rkt"), args...)
	cmd.Env = append(os.Environ(), "RKT_DIR="+c.data, "RKT_LOCAL_CONFIG="+c.data+"-etc")
	return cmd
}

// rkt must succeed.
func (c *crash) rkt(args ...string) string {
	c.t.Helper()
	out, err := c.command(args...).CombinedOutput()
	if err != nil {
		c.t.Fatalf("rkt %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// round starts commands, kills a process of each tree after a random time, and returns how many it killed.
func (c *crash) round() int {
	var wg sync.WaitGroup
	kills := make([]int, c.parallel)
	for i := range kills {
		cmd, pick := c.next(), c.rnd.Float64()
		delay := time.Duration(c.rnd.Int64N(int64(c.within)))
		wg.Go(func() { kills[i] = killInside(cmd, delay, pick) })
	}
	wg.Wait()
	sum := 0
	for _, n := range kills {
		sum += n
	}
	return sum
}

// anything is a command that changes something.
func (c *crash) anything() *exec.Cmd {
	tags := []string{"latest", "zstd", "plain", "entry", "multi"}
	switch tag := tags[c.rnd.IntN(len(tags))]; c.rnd.IntN(5) {
	case 0:
		return c.command("--insecure-options=http", "fetch", "--pull-policy=update", c.image(tag))
	case 1:
		return c.command("image", "rm", c.image(tags[1+c.rnd.IntN(4)]))
	case 2:
		return c.command("run", "--net=none", c.image("latest"), "--exec=/bin/sleep", "--", "0.2")
	case 3:
		return c.command("run", "--rm", c.image("latest"), "--exec=/bin/true")
	default:
		return c.command("gc", "--grace-period=0s")
	}
}

// machine is a pod in a virtual machine, with or without a network, that runs until it is killed.
func (c *crash) machine() *exec.Cmd {
	net := []string{"--net=none", "--net=default"}[c.rnd.IntN(2)]
	volume := "--volume=v,kind=host,source=" + shared.layout
	return c.command("run", "--stage1=qemu", net, volume, "--mount=volume=v,target=/mnt", c.image("latest"), "--exec=/bin/sleep", "--", "1000")
}

// killInside runs cmd and kills one process of its tree after delay; pick chooses which.
func killInside(cmd *exec.Cmd, delay time.Duration, pick float64) int {
	if cmd.Start() != nil {
		return 0
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	select {
	case <-ended:
		return 0
	case <-time.After(delay):
	}
	tree := append([]int{cmd.Process.Pid}, descendants(cmd.Process.Pid)...)
	victim := tree[int(pick*float64(len(tree)))]
	syscall.Kill(victim, syscall.SIGKILL)
	select {
	case <-ended:
	case <-time.After(30 * time.Second): // a plugin was killed and rkt hangs: that is a failure, seen by check
		cmd.Process.Kill()
		<-ended
	}
	return 1
}

// descendants are the pids below one, parents first.
func descendants(pid int) []int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil
	}
	var out []int
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, t := range tasks {
		if b, err = os.ReadFile(t); err != nil {
			continue
		}
		for _, f := range strings.Fields(string(b)) {
			if child, err := strconv.Atoi(f); err == nil {
				out = append(append(out, child), descendants(child)...)
			}
		}
	}
	return out
}

// check: list and image list succeed, nothing is running, every listed image is whole.
func (c *crash) check() {
	c.t.Helper()
	for _, p := range c.settled() {
		if p.Error != "" {
			c.t.Fatalf("pod %s: %s", p.Name, p.Error)
		}
	}
	var images []struct{ ID, Name string }
	c.json(&images, "image", "list", "--format=json")
	found := false
	for _, i := range images {
		found = found || i.Name == c.image("latest")
	}
	if !found {
		c.t.Fatalf("image %s is lost: %+v", c.image("latest"), images)
	}
}

type crashPod struct{ Name, State, Error string }

// settled lists the pods when nobody holds one of them any more. What rkt was about to execute when it was killed still
// has rkt's descriptors, the locks among them, until it gets the processor and has executed.
func (c *crash) settled() []crashPod {
	c.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var pods []crashPod
		c.json(&pods, "list", "--format=json")
		i := slices.IndexFunc(pods, func(p crashPod) bool {
			return p.State == "running" || p.State == "preparing" || p.State == "deleting"
		})
		if i < 0 {
			return pods
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("pod %s is %s, but nothing runs", pods[i].Name, pods[i].State)
		}
	}
}

func (c *crash) json(v any, args ...string) {
	c.t.Helper()
	cmd := c.command(args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, v)
	}
	if err != nil {
		c.t.Fatalf("rkt %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// end: gc removes every pod, every image verifies, a pod still runs, and nothing half-made is left.
func (c *crash) end() {
	c.rkt("gc", "--grace-period=0s", "--expire-prepared=0s")
	if out := c.rkt("list", "--no-legend"); strings.TrimSpace(out) != "" {
		c.t.Errorf("gc left pods:\n%s", out)
	}
	var images []struct{ ID string }
	c.json(&images, "image", "list", "--format=json")
	for _, i := range images {
		c.rkt("image", "verify", i.ID)
	}
	c.rkt("run", "--rm", "--net=none", c.image("latest"), "--exec=/bin/true")
	c.rkt("gc", "--grace-period=0s")
	for _, dir := range []string{"leases", "pods", "ports"} {
		filepath.WalkDir(filepath.Join("/run/rkt/network", dir), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				c.t.Errorf("left behind: %s", path)
			}
			return nil
		})
	}
	for _, dir := range []string{"staging", "store/tmp", "pods/embryo", "pods/prepare", "pods/run", "pods/garbage", "pods/exited-garbage"} {
		entries, _ := os.ReadDir(filepath.Join(c.data, dir))
		for _, e := range entries {
			c.t.Errorf("left behind: %s/%s", dir, e.Name())
		}
	}
}
