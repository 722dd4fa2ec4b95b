package qemu

import "time"

// counter is the processor's time stamp counter.
func counter() uint64

// counterKHz is how fast it counts: what an emulated processor shows its guest is the host's. A microvm has no other
// clock that its kernel could measure it by, and would tell the time wrong by as much as this is off: less than a
// ten-thousandth, which the guest's clock, being compared with the host's, makes good.
func counterKHz() int {
	const long = 20 * time.Millisecond
	begin, from := time.Now(), counter()
	time.Sleep(long)
	to, took := counter(), time.Since(begin)
	return int(float64(to-from) / took.Seconds() / 1000)
}
