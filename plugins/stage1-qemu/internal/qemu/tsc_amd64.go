package qemu

import "time"

// counter is the processor's time stamp counter.
func counter() uint64

// counterKHz is how fast it counts: what an emulated processor shows its guest is the host's. A microvm has no other
// clock that its kernel could measure it by, and would tell the time wrong by as much as this is off: less than a
// ten-thousandth, which the guest's clock, being compared with the host's, makes good.
func counterKHz() int {
	begin, from := sample()
	time.Sleep(20 * time.Millisecond)
	end, to := sample()
	return int(float64(to-from) / end.Sub(begin).Seconds() / 1000)
}

// sample reads clock and counter as near to each other as can be: on a busy host this process may lose the processor
// between the two.
func sample() (at time.Time, count uint64) {
	least := time.Hour
	for range 50 {
		t, c := time.Now(), counter()
		if d := time.Since(t); d < least {
			least, at, count = d, t, c
		}
	}
	return at, count
}
