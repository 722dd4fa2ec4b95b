package plugin

import (
	"context"
	"errors"
	"time"

	"github.com/rkt/rkt/v2/proto/reason"
)

// How long something that passes is waited for. A plugin that is busy is asked again soon, and not often; one that names
// a wait is believed, up to a minute: after that a user wants to be told.
const (
	firstPause  = 100 * time.Millisecond
	longestWait = time.Minute
	tries       = 6
)

// Call makes one call of the plugin. limit bounds all of it, beside ctx; 0 is no bound of its own. What a plugin says
// will pass (BUSY, or an error with a wait) is tried again: every RPC is idempotent. The error is as of Error.
func Call[R any](ctx context.Context, p *Process, verb string, limit time.Duration, rpc func(context.Context) (R, error)) (R, error) {
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	for try := 1; ; try++ {
		resp, err := rpc(ctx)
		err = p.Error(verb, err)
		wait := pause(err, try)
		if deadline, ok := ctx.Deadline(); wait == 0 || ok && time.Until(deadline) < wait {
			return resp, err
		}
		if p.waiting != nil && wait >= time.Second {
			p.waiting(err, wait)
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return resp, err
		}
	}
}

// pause is how long to wait after a try that ended with err; 0: no other one.
func pause(err error, try int) time.Duration {
	e, ok := errors.AsType[*Error](err)
	if !ok || try >= tries {
		return 0
	}
	switch wait := e.RetryAfter(); {
	case wait > longestWait:
		return 0
	case wait > 0 && (e.Reason == reason.Busy || e.Reason == reason.RegistryThrottled || e.Reason == reason.NetworkUnreachable):
		return wait
	case e.Reason == reason.Busy:
		return firstPause << (try - 1)
	}
	return 0
}
