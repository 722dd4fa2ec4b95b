package supervisor

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// clockTime is how often the guest's clock is compared with the host's, which alone is kept by somebody.
const clockTime = 10 * time.Minute

// keepClock sets the guest's clock from time to time, and at once when the host's has jumped: it was set, or the host
// has slept. Without the kernel's help (timerfd) the guest keeps the time that it started with.
func (f *Flavor) keepClock() {
	fd, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return
	}
	timer := os.NewFile(uintptr(fd), "clock")
	stop := context.AfterFunc(f.ctx, func() { timer.Close() })
	go func() {
		defer timer.Close()
		defer stop()
		for f.ctx.Err() == nil && jumped(timer, clockTime) == nil {
			f.mu.Lock()
			c := f.client
			f.mu.Unlock()
			ctx, cancel := context.WithTimeout(f.ctx, requestTime)
			_ = c.SetTime(ctx, time.Now()) // a guest that does not hear it this time hears it the next
			cancel()
		}
	}()
}

// jumped returns when the clock has been set, or after a while. The error is the timer's end.
func jumped(timer *os.File, after time.Duration) error {
	raw, err := timer.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	at := unix.ItimerSpec{Value: unix.NsecToTimespec(time.Now().Add(after).UnixNano())}
	if err := raw.Control(func(fd uintptr) {
		serr = unix.TimerfdSettime(int(fd), unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET, &at, nil)
	}); err != nil {
		return err
	}
	// ECANCELED: it jumped between two calls, and this timer has begun anew all the same.
	if serr != nil && !errors.Is(serr, unix.ECANCELED) {
		return serr
	}
	if _, err := timer.Read(make([]byte, 8)); err != nil && !errors.Is(err, unix.ECANCELED) {
		return err
	}
	return nil
}
