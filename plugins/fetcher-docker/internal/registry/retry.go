package registry

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// tries counts the attempts of one document or blob.
type tries struct {
	tuning Tuning
	n      int
}

// again waits before the next attempt and returns nil, or returns what ends the matter: err itself when it is not
// temporary, when there were too many, or when the server wants more patience than we have.
func (t *tries) again(ctx context.Context, err error) error {
	tmp, ok := errors.AsType[*temporary](err)
	if !ok {
		return err
	}
	if t.n >= t.tuning.Retries || tmp.after > t.tuning.LongestWait {
		return tmp.err
	}
	wait := t.tuning.Backoff << min(t.n, 5)
	wait += rand.N(wait/2 + 1) // so that many hosts do not come back together
	t.n++
	timer := time.NewTimer(max(wait, tmp.after))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

func (t *tries) reset() { t.n = 0 }
