package supervise

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Kernel numbers of the real-time signals; SIGRTMIN+n in an image counts from glibc's 34.
const (
	sigRTMin = 34
	sigRTMax = 64
)

// ParseSignal reads a stop signal: a name with or without SIG, SIGRTMIN+n, or a number. Empty is SIGTERM.
func ParseSignal(s string) (syscall.Signal, error) {
	if s == "" {
		return unix.SIGTERM, nil
	}
	if n, err := strconv.Atoi(s); err == nil {
		if n < 1 || n > sigRTMax {
			return 0, fmt.Errorf("stop signal %q is not in 1..%d", s, sigRTMax)
		}
		return syscall.Signal(n), nil
	}
	name := strings.ToUpper(s)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if n := unix.SignalNum(name); n != 0 {
		return n, nil
	}
	for prefix, base := range map[string]int{"SIGRTMIN": sigRTMin, "SIGRTMAX": sigRTMax} {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		off := 0
		if rest != "" {
			var err error
			if off, err = strconv.Atoi(rest); err != nil {
				break
			}
		}
		if n := base + off; n >= sigRTMin && n <= sigRTMax {
			return syscall.Signal(n), nil
		}
	}
	return 0, fmt.Errorf("stop signal %q is neither a signal's name nor its number", s)
}

// watchSignals turns what this process is sent into events, until it becomes another program. TERM and INT stop
// the pod; the others belong to the apps. TTIN, TTOU and TSTP keep their meaning for the terminal's job
// control. Before this moment, as before main, TERM ends the process, and PID 1 of the pod with it.
func (r *Reporter) watchSignals() {
	c := make(chan os.Signal, 16)
	signal.Notify(c, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2, unix.SIGQUIT, unix.SIGWINCH)
	go func() {
		for sig := range c {
			if n, ok := sig.(syscall.Signal); ok {
				r.send(event{kind: signalled, sig: n})
			}
		}
	}()
}
