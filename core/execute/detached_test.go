package execute

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func background(t *testing.T, what string) Background {
	t.Helper()
	t.Setenv(partEnv, "detached")
	t.Setenv("TMPDIR", t.TempDir())
	return Background{Exe: os.Args[0], Options: what, Log: filepath.Join(t.TempDir(), "rkt.log")}
}

func TestDetachedReady(t *testing.T) {
	b := background(t, "ready")
	said, err := Detached(t.Context(), b)
	if err != nil || !strings.HasPrefix(said, "log line") {
		t.Fatalf("%q, %v", said, err)
	}
	log, err := os.ReadFile(b.Log)
	if err != nil {
		t.Fatal(err)
	}
	text, num, _ := strings.Cut(strings.TrimSpace(string(log)), "\n")
	pid, err := strconv.Atoi(num)
	if text != "log line" || err != nil {
		t.Fatalf("log %q, %v", log, err)
	}
	if sid, err := unix.Getsid(pid); err != nil || sid != pid {
		t.Errorf("it is in session %d, %v, not in its own", sid, err)
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil { // it lives; Detached's own goroutine reaps it
		t.Error(err)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// A pod that is done before its starter looks has been started all the same.
func TestDetachedShort(t *testing.T) {
	if _, err := Detached(t.Context(), background(t, "ready, then gone")); err != nil {
		t.Error(err)
	}
}

func TestDetachedFails(t *testing.T) {
	for _, c := range []struct{ verb, before, text string }{
		{"start", "", "the pod ended before its apps had started: log line\nrun: no such image"},
		{"run", "log line", "no such image"},
	} {
		b := background(t, "fail")
		b.Verb = c.verb
		before, err := Detached(t.Context(), b)
		var ended *EndedError
		if !errors.As(err, &ended) || ended.Status != 66 || ended.Error() != c.text || before != c.before {
			t.Errorf("%s: %q, %#v", c.verb, before, err)
		}
	}
}

func TestDetachedCancelled(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := Detached(ctx, background(t, "hang")); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}
