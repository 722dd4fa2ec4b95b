package wire

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMessages(t *testing.T) {
	a, b, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(a)
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, m := range []Message{
		{Kind: Warning, Text: strings.Repeat("\x00\n\"", 10_000), FD: -1},
		{Kind: Started, App: "a", FD: int(f.Fd())},
		{Kind: Exited, App: "b", Code: 3, FD: -1},
	} {
		if err := Send(b, m); err != nil {
			t.Fatal(err)
		}
		got, err := Receive(a)
		if err != nil || got.Kind != m.Kind || got.App != m.App || got.Code != m.Code || (got.FD >= 0) != (m.FD >= 0) {
			t.Errorf("received %+v, %v; sent %+v", got, err, m)
		}
		if got.FD >= 0 {
			var x, y unix.Stat_t
			if unix.Fstat(got.FD, &x) != nil || unix.Fstat(int(f.Fd()), &y) != nil || x.Ino != y.Ino {
				t.Error("another descriptor came")
			}
			if flags, _ := unix.FcntlInt(uintptr(got.FD), unix.F_GETFD, 0); flags&unix.FD_CLOEXEC == 0 {
				t.Error("the descriptor is inherited")
			}
			unix.Close(got.FD)
		}
	}
	unix.Close(b)
	if _, err := Receive(a); !errors.Is(err, io.EOF) {
		t.Errorf("after the peer's end: %v", err)
	}
}
