package pod

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// What is in force is told instead of what pod.json says; pod.json stays.
func TestChangeLimits(t *testing.T) {
	pods := open(t)
	dir := put(t, pods, Run, id(1), `{"schema":1,"apps":[{"name":"a","resources":{"memoryBytes":4096,"cpuShares":7}},{"name":"b","resources":{}}]}`)
	more := func(now poddir.Resources) (poddir.Resources, error) {
		now.MemoryBytes++
		return now, nil
	}
	var state *StateError
	if err := pods.ChangeLimits(t.Context(), id(1), "a", more); !errors.As(err, &state) {
		t.Errorf("a pod that has ended: %v", err)
	}
	p, err := pods.Lock(id(1))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var wg sync.WaitGroup
	for range 20 { // none is lost, and each sees the one before
		wg.Go(func() {
			if err := pods.ChangeLimits(t.Context(), id(1), "a", more); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	refusal := errors.New("no")
	if err := pods.ChangeLimits(t.Context(), id(1), "b", func(poddir.Resources) (poddir.Resources, error) {
		return poddir.Resources{MemoryBytes: 9}, refusal
	}); !errors.Is(err, refusal) {
		t.Errorf("what was refused: %v", err)
	}
	if err := pods.ChangeLimits(t.Context(), id(1), "c", more); err == nil {
		t.Error("an app that is not there is changed")
	}
	// Half a file of one that was killed, and one of an app that is not there.
	for _, name := range []string{"b.tmp" + strconv.Itoa(os.Getpid()), "z"} {
		if err := os.WriteFile(filepath.Join(dir, poddir.LimitsDir, name), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	info, err := pods.Info(id(1))
	if err != nil || info.Err != nil {
		t.Fatal(err, info.Err)
	}
	if a, b := info.Pod.Apps[0].Resources, info.Pod.Apps[1].Resources; a.MemoryBytes != 4116 || a.CPUShares != 7 || b != (poddir.Resources{}) {
		t.Errorf("%+v, %+v", a, b)
	}
	var made poddir.Pod
	if err := poddir.ReadJSON(dir, poddir.PodFile, &made); err != nil || made.Apps[0].Resources.MemoryBytes != 4096 {
		t.Errorf("pod.json has %+v, %v", made.Apps, err)
	}
	if err := os.WriteFile(filepath.Join(dir, poddir.LimitsDir, "a"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if info, err := pods.Info(id(1)); err != nil || info.Err == nil {
		t.Errorf("a damaged record is not told: %v", err)
	}
}
