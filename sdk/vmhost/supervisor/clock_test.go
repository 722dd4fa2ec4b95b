package supervisor

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestJumped: the timer goes off again and again, and its end ends the wait. That it goes off when the clock is set is
// the kernel's part: nobody sets the clock of a machine that runs tests.
func TestJumped(t *testing.T) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		t.Skip(err)
	}
	timer := os.NewFile(uintptr(fd), "clock")
	for range 3 {
		if err := jumped(timer, time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- jumped(timer, time.Hour) }()
	timer.Close()
	if err := <-ended; err == nil {
		t.Error("a timer that is closed goes off")
	}
}
