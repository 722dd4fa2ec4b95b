package fence

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestContractComments: the comment above each RPC is the contract, so it must say who calls it, whether it may
// be repeated, how long it may take, and how it fails.
func TestContractComments(t *testing.T) {
	files, err := filepath.Glob("../../../proto/rkt/*/v1/*.proto")
	if err != nil || len(files) == 0 {
		t.Fatalf("no .proto files: %v", err)
	}
	rpc := regexp.MustCompile(`(?m)((?:^ *//.*\n)+)^ *rpc (\w+)`)
	n := 0
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range rpc.FindAllStringSubmatch(string(b), -1) {
			n++
			for _, want := range []string{"Caller", "Idempotent", "Deadline", "Errors"} {
				if !strings.Contains(m[1], want) {
					t.Errorf("%s: the comment of %s does not say %s", filepath.Base(f), m[2], want)
				}
			}
		}
		if all := strings.Count(string(b), "  rpc "); all != len(rpc.FindAllString(string(b), -1)) {
			t.Errorf("%s: an rpc has no comment", filepath.Base(f))
		}
	}
	if n == 0 {
		t.Fatal("no RPC found")
	}
}
