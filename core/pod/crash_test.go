package pod

import (
	"bufio"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"
)

// TestContend: several processes and a lister want one pod; never do two hold it.
func TestContend(t *testing.T) {
	pods := open(t)
	put(t, pods, Run, id(1), "{}")
	var wg sync.WaitGroup
	for range 4 {
		c := child(t, filepath.Dir(pods.root), "contend", id(1), "200")
		wg.Go(func() {
			if err := c.Run(); err != nil {
				t.Error(err)
			}
		})
	}
	stop := make(chan struct{})
	go func() { wg.Wait(); close(stop) }()
	for {
		if _, err := pods.List(); err != nil {
			t.Error(err)
		}
		select {
		case <-stop:
			return
		default:
		}
	}
}

// TestKilled kills a process that makes, moves and deletes pods, at random moments. Whatever it leaves must read as
// a pod that nobody holds, and can be removed.
func TestKilled(t *testing.T) {
	times := 300
	if testing.Short() {
		times = 30
	}
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("RKT_TEST_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("RKT_TEST_SEED=%d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	pods := open(t)
	found := map[Section]int{}
	for range times {
		killOnce(t, pods, time.Duration(rnd.Int64N(int64(3*time.Millisecond))))
		cleanUp(t, pods, found)
	}
	t.Logf("found after the kills: %v", found)
}

func killOnce(t *testing.T, pods *Pods, after time.Duration) {
	t.Helper()
	c := child(t, filepath.Dir(pods.root), "loop")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	_, err = bufio.NewReader(out).ReadString('\n')
	time.Sleep(after) // the moment of death, not a wait for anything
	c.Process.Kill()
	c.Wait()
	if err != nil {
		t.Fatalf("the child did not come to its loop: %v", err)
	}
}

// cleanUp does what gc does, and insists that it can.
func cleanUp(t *testing.T, pods *Pods, found map[Section]int) {
	t.Helper()
	list, err := pods.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range list {
		switch i.State {
		case StateRunning, StatePreparing, StateDeleting:
			t.Fatalf("pod %s is %s, and nobody lives who holds it", i.UUID, i.State)
		}
		if i.Err != nil {
			t.Errorf("pod %s: %v", i.UUID, i.Err)
		}
		p, err := pods.Lock(i.UUID)
		if err != nil {
			t.Fatal(err)
		}
		found[p.Section()]++
		to := Garbage
		if p.Section() == Run || p.Section() == ExitedGarbage {
			to = ExitedGarbage
		}
		if p.Section() != to {
			if err := p.MoveTo(to); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(p.Delete(), p.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range sections() {
		left, err := os.ReadDir(filepath.Join(pods.root, string(s)))
		if err != nil || len(left) > 0 {
			t.Fatalf("%s holds %v, %v", s, left, err)
		}
	}
}
