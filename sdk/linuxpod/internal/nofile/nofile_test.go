package nofile_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/nofile"
)

// An external package: the test's imports must not become the imports of nofile itself.
//
// TestInherited starts this test binary under a limit of its own, which Go raises before main.
func TestInherited(t *testing.T) {
	if os.Getenv("RKT_TEST_NOFILE") != "" {
		if soft, hard, ok := nofile.Inherited(); !ok || soft != 321 || hard != 654 {
			t.Fatalf("inherited %d/%d %t, want 321/654", soft, hard, ok)
		}
		return
	}
	cmd := exec.Command("/bin/sh", "-c", `ulimit -Sn 321 && ulimit -Hn 654 && exec "$0" -test.run '^TestInherited$' -test.v`, os.Args[0])
	cmd.Env = append(os.Environ(), "RKT_TEST_NOFILE=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "PASS") {
		t.Fatalf("%v\n%s", err, out)
	}
}
