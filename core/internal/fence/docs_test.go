package fence

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestThreatModelNamesTests: a rule of docs/threat-model.md is worth its test, so each test that it names is there: a
// function of the package that stands before it, or a script.
func TestThreatModelNamesTests(t *testing.T) {
	root := "../../.."
	b, err := os.ReadFile(filepath.Join(root, "docs/threat-model.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	word := regexp.MustCompile("`([a-z][a-z0-9/-]*)`|\\b(Test[A-Z][A-Za-z0-9]*)\\b|\\b([a-z]+)\\.txtar\\b")
	for _, line := range strings.Split(string(b), "\n") {
		dir := ""
		for _, m := range word.FindAllStringSubmatch(line, -1) {
			switch {
			case m[1] != "":
				dir = m[1]
			case m[2] != "":
				named++
				// Not through the go command: a test is a test whatever its build constraints.
				if err := exec.Command("grep", "-rq", "^func "+m[2]+"(t ", filepath.Join(root, dir), "--include=*_test.go").Run(); err != nil {
					t.Errorf("docs/threat-model.md names %s %s, which is not there", dir, m[2])
				}
			default:
				named++
				if _, err := os.Stat(filepath.Join(root, "tests/e2e/testdata/script", m[3]+".txtar")); err != nil {
					t.Errorf("docs/threat-model.md: %v", err)
				}
			}
		}
	}
	if named < 20 {
		t.Errorf("docs/threat-model.md names %d tests", named)
	}
}

// TestExamples: what vendors import is shown in use, where the documentation of the package is read.
func TestExamples(t *testing.T) {
	for _, pkg := range append(slices.Clone(stable), "sdk/cgroup", "sdk/conformance", "sdk/rootfs") {
		if err := exec.Command("grep", "-rq", "^func Example", filepath.Join("../../..", pkg), "--include=*_test.go").Run(); err != nil {
			t.Errorf("%s has no Example", pkg)
		}
	}
}
