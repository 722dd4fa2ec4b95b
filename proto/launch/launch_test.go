package launch

import (
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseFDs(t *testing.T) {
	for _, c := range []struct {
		in   string
		want FDs
		err  string
	}{
		{"", FDs{}, ""},
		{"lock:3", FDs{"lock": 3}, ""},
		{"lock:3,netns:17", FDs{"lock": 3, "netns": 17}, ""},
		{"lock", nil, "NAME:NUMBER"},
		{"lock:", nil, "NAME:NUMBER"},
		{":3", nil, "NAME:NUMBER"},
		{"lock:2", nil, "above 2"},
		{"lock:-1", nil, "above 2"},
		{"lock:99999999999999999999", nil, "NAME:NUMBER"},
		{"lock:2147483648", nil, "NAME:NUMBER"},
		{"lock:3,", nil, "NAME:NUMBER"},
		{"lock:3,lock:4", nil, "given twice"},
		{"lock:3,netns:3", nil, "both descriptor 3"},
		{"lock:3 netns:4", nil, "NAME:NUMBER"},
	} {
		got, err := ParseFDs(c.in)
		if !maps.Equal(got, c.want) || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("ParseFDs(%q) = %v, %v, want %v, %q", c.in, got, err, c.want, c.err)
		}
	}
}

func TestTake(t *testing.T) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETFD, 0); err != nil {
		t.Fatal(err)
	}
	t.Setenv(EnvFDs, "lock:"+strconv.Itoa(int(f.Fd())))
	fds, err := Take()
	if err != nil || fds["lock"] != int(f.Fd()) {
		t.Fatalf("Take: %v, %v", fds, err)
	}
	if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %d, %v: a child would inherit the lock", flags, err)
	}
	if v, set := os.LookupEnv(EnvFDs); set {
		t.Errorf("%s is still %q", EnvFDs, v)
	}
	t.Setenv(EnvFDs, "nonsense")
	if _, err := Take(); err == nil {
		t.Error("nonsense was taken")
	}
}

// What ParseFDs accepts, Format writes so that it is read the same.
func FuzzParseFDs(f *testing.F) {
	for _, s := range []string{"", "lock:3", "lock:3,netns:4", "a:+3", "a:003", ":", ",", "a:3,a:4", "a:3,b:3", "\x00:3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		fds, err := ParseFDs(s)
		if err != nil {
			return
		}
		seen := map[int]bool{}
		for name, n := range fds {
			if name == "" || n < 3 || seen[n] {
				t.Fatalf("%q gave %v", s, fds)
			}
			seen[n] = true
		}
		again, err := ParseFDs(Format(slices.Sorted(maps.Keys(fds)), fds))
		if err != nil || !maps.Equal(fds, again) {
			t.Fatalf("%q gave %v, then %v, %v", s, fds, again, err)
		}
	})
}
