package example

import (
	"flag"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write modules.txt")

// forTests are modules that `go mod tidy` keeps for the tests of dependencies alone.
func forTests() []string { return []string{"github.com/google/go-cmp"} }

// TestModules: modules.txt is what a plugin's go.mod needs of this one's, so that a new one begins tidy.
func TestModules(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-test", "-f", "{{with .Module}}{{.Path}}{{end}}", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	modules := append(strings.Fields(string(out)), forTests()...)
	slices.Sort(modules)
	modules = slices.DeleteFunc(slices.Compact(modules), func(m string) bool { return m == "github.com/rkt/rkt/v2" })
	want := strings.Join(modules, "\n") + "\n"
	if *update {
		if err := os.WriteFile("modules.txt", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile("modules.txt"); err != nil || string(got) != want {
		t.Errorf("modules.txt is not what the examples need (go test ./sdk/example -update): %v\n%s", err, want)
	}
}
