package qemu

import (
	"runtime"
	"sync"
	"testing"
)

// However busy the host is, the frequency is the same: a guest tells the time by it.
func TestCounterKHz(t *testing.T) {
	stop := make(chan struct{})
	var busy sync.WaitGroup
	for range 4 * runtime.NumCPU() {
		busy.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	first := counterKHz()
	for range 10 {
		if khz := counterKHz(); khz < 100_000 || khz < first-first/500 || khz > first+first/500 {
			t.Errorf("%d kHz, and %d before", khz, first)
		}
	}
	close(stop)
	busy.Wait()
}
