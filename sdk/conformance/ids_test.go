package conformance

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestIDs: a demand without a check, and a check without a sentence that demands it, are mistakes of equal rank.
func TestIDs(t *testing.T) {
	id := regexp.MustCompile(`\b(PL|FE|VE|NE|S1)-[A-Z0-9]+-\d\d\b`)
	quoted := map[string]string{}
	for _, pattern := range []string{"rkt/*/v1/*.proto", "launch/*.go", "manifest/*.go", "poddir/*.go"} {
		files, err := filepath.Glob(filepath.Join("../../proto", pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, q := range id.FindAllString(string(b), -1) {
				quoted[q] = f
			}
		}
	}
	seen := map[string]bool{}
	for _, c := range List() {
		switch {
		case !id.MatchString(c.ID):
			t.Errorf("%q is not of the form of an ID", c.ID)
		case seen[c.ID]:
			t.Errorf("%s: two checks", c.ID)
		case quoted[c.ID] == "":
			t.Errorf("%s (%s) is demanded by no comment in proto", c.ID, c.Title)
		}
		seen[c.ID] = true
	}
	for q, f := range quoted {
		if !seen[q] {
			t.Errorf("%s, of %s, has no check", q, f)
		}
	}
}
