package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// The supervisor is ended at a random moment of its start, life or end. Whatever the moment, nothing of the pod
// outlives it (wait returns when the last process with the pod's stdout has ended), the lock is free, what is
// on disk can be read, and the directory can be removed.
func TestRandomEnd(t *testing.T) {
	layer := busybox(t)
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("RKT_TEST_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	t.Logf("RKT_TEST_SEED=%d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	rounds := 100
	if testing.Short() {
		rounds = 10
	}
	codes := map[int]int{}
	for range rounds {
		p := newPod(t, app("one", layer, "sleep 1000 & setsid sleep 1000 & wait"), app("two", layer, "exec sleep 0.03"))
		p.rt.GraceSeconds = r.IntN(2)
		p.prepare()
		p.launch()
		moment := time.Duration(r.IntN(40_000)) * time.Microsecond
		sig := []unix.Signal{unix.SIGKILL, unix.SIGTERM, unix.SIGHUP}[r.IntN(3)]
		time.AfterFunc(moment, func() { p.cmd.Process.Signal(sig) })
		if sig == unix.SIGHUP { // is forwarded, and ends the apps
			time.AfterFunc(moment+100*time.Millisecond, func() { p.cmd.Process.Signal(unix.SIGTERM) })
		}
		codes[p.wait()]++
		lock, err := os.Open(p.dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			t.Errorf("%v after %v: lock: %v", sig, moment, err)
		}
		lock.Close()
		if _, err := poddir.ReadStatus(p.dir); err != nil && !os.IsNotExist(err) {
			t.Errorf("%v after %v: %v", sig, moment, err)
		}
		if err := os.RemoveAll(p.dir); err != nil {
			t.Errorf("%v after %v: %v", sig, moment, err)
		}
		if err := os.MkdirAll(filepath.Join(p.dir, poddir.Stage1Dir), 0o750); err != nil { // for the next moment
			t.Fatal(err)
		}
	}
	t.Logf("exit statuses %v", codes)
}
