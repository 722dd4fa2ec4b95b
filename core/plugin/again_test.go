package plugin

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/rkt/rkt/v2/proto/reason"
	fetcherv1 "github.com/rkt/rkt/v2/proto/rkt/fetcher/v1"
)

func TestPause(t *testing.T) {
	after := func(r reason.Reason, d string) error {
		return &Error{Reason: r, Metadata: map[string]string{"retry_after": d}}
	}
	for _, c := range []struct {
		err  error
		try  int
		want time.Duration
	}{
		{nil, 1, 0},
		{errors.New("x"), 1, 0},
		{&Error{Reason: reason.Busy}, 1, 100 * time.Millisecond},
		{&Error{Reason: reason.Busy}, 5, 1600 * time.Millisecond},
		{&Error{Reason: reason.Busy}, 6, 0},
		{after(reason.Busy, "2s"), 1, 2 * time.Second},
		{after(reason.RegistryThrottled, "30s"), 1, 30 * time.Second},
		{after(reason.RegistryThrottled, "1h"), 1, 0},
		{after(reason.RegistryThrottled, "-3s"), 1, 0},
		{after(reason.RegistryThrottled, "soon"), 1, 0},
		{&Error{Reason: reason.RegistryThrottled}, 1, 0}, // the fetcher has tried by itself
		{after(reason.ImageNotFound, "2s"), 1, 0},
	} {
		if got := pause(c.err, c.try); got != c.want {
			t.Errorf("%v, try %d: %v, want %v", c.err, c.try, got, c.want)
		}
	}
}

func TestCall(t *testing.T) {
	dir := place(t)
	o := options(dir, KindFetcher)
	p := start(t, install(t, dir, "busy-2"), o)
	n := 0
	call := func(ctx context.Context) (*fetcherv1.ResolveResponse, error) {
		n++
		return p.Fetcher().Resolve(ctx, &fetcherv1.ResolveRequest{})
	}
	if _, err := Call(t.Context(), p, "resolve x", time.Minute, call); err != nil || n != 3 {
		t.Errorf("%d calls, %v", n, err)
	}

	p, n = start(t, install(t, dir, "busy-100"), o), 0
	var heard []time.Duration
	p.waiting = func(_ error, wait time.Duration) { heard = append(heard, wait) }
	if _, err := Call(t.Context(), p, "resolve x", 300*time.Millisecond, call); !errors.Is(err, ErrBusy) || n < 2 || n >= tries || len(heard) > 0 {
		t.Errorf("within a limit: %d calls, %v, %v", n, err, heard)
	}

	n = 0
	ctx, cancel := context.WithCancel(t.Context())
	p.waiting = func(error, time.Duration) { cancel() } // the user does not want to wait a second
	if _, err := Call(ctx, p, "resolve x", 0, call); !errors.Is(err, ErrBusy) || n != 5 {
		t.Errorf("cancelled while it waits: %d calls, %v", n, err)
	}
}
