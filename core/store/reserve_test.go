package store

import (
	"context"
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRoom(t *testing.T) {
	for _, c := range []struct {
		name string
		fs   unix.Statfs_t
		says string // empty: there is room
	}{
		{"large and free", unix.Statfs_t{Frsize: 4096, Blocks: 1 << 30, Bavail: 1 << 29, Files: 1000, Ffree: 900}, ""},
		{"large, 512 MiB kept", unix.Statfs_t{Frsize: 4096, Blocks: 1 << 30, Bavail: 512 << 20 / 4096}, ""},
		{"large, less", unix.Statfs_t{Frsize: 4096, Blocks: 1 << 30, Bavail: 512<<20/4096 - 1}, "has 511 MiB left, of which 512 are kept free"},
		{"small, a fiftieth kept", unix.Statfs_t{Frsize: 4096, Blocks: 50 * 1000, Bavail: 1000}, ""},
		{"small, less", unix.Statfs_t{Frsize: 4096, Blocks: 50 * 1000, Bavail: 999}, "MiB left"},
		{"no inodes", unix.Statfs_t{Frsize: 4096, Blocks: 1 << 30, Bavail: 1 << 29, Files: 5000, Ffree: 99}, "has 99 inodes left, of which 100 are kept free"},
		{"inodes not counted", unix.Statfs_t{Frsize: 4096, Blocks: 1 << 30, Bavail: 1 << 29}, ""},
	} {
		err := room("/data/staging/x", &c.fs)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.name, err, c.says)
		}
		if err != nil && !errors.As(err, new(*FullError)) {
			t.Errorf("%s: %T", c.name, err)
		}
	}
}

// The watch ends with what it watches, and says nothing of a disk with room.
func TestGuard(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	st, err := s.NewStaging("")
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if err := st.Room(); err != nil {
		t.Skip(err)
	}
	ctx, stop := st.Guard(t.Context())
	if ctx.Err() != nil {
		t.Error(context.Cause(ctx))
	}
	stop()
	<-ctx.Done()
	if errors.As(context.Cause(ctx), new(*FullError)) {
		t.Error(context.Cause(ctx))
	}
}
