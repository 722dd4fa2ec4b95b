package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/rogpeppe/go-internal/testscript"
)

// schema NAME stdout|FILE: the JSON keeps to docs/schema/NAME.json (neg: it does not).
func schema(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: schema NAME stdout|FILE")
	}
	var value any
	text := ts.ReadFile(args[1])
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		ts.Fatalf("%s is no JSON: %v\n%s", args[1], err, text)
	}
	err := validate(args[0], value)
	switch {
	case err != nil && !neg:
		ts.Fatalf("%s is not as docs/schema/%s.json says: %v\n%s", args[1], args[0], err, text)
	case err == nil && neg:
		ts.Fatalf("%s is as docs/schema/%s.json says:\n%s", args[1], args[0], text)
	}
}

func validate(name string, value any) error {
	b, err := os.ReadFile(filepath.Join("../../docs/schema", name+".json"))
	if err != nil {
		return err
	}
	var s jsonschema.Schema
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	resolved, err := s.Resolve(nil)
	if err != nil {
		return err
	}
	return resolved.Validate(value)
}

// TestScriptsHoldSchemas: a script that has a verb print JSON holds it to the schema in the next line, so that no
// document goes unseen.
func TestScriptsHoldSchemas(t *testing.T) {
	scripts, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	prints := regexp.MustCompile(`^((\[\S+\] )*)exec (rkt|\$R) ([^|]* )?--format=json`)
	held := 0
	for _, name := range scripts {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(b), "\n")
		for i, line := range lines {
			m := prints.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			if i+1 == len(lines) || !strings.HasPrefix(lines[i+1], m[1]+"schema ") {
				t.Errorf("%s:%d: %s: the next line is not \"schema NAME stdout\"", name, i+1, line)
			}
			held++
		}
	}
	if held < 20 {
		t.Errorf("%d documents are held to their schemas; the pattern misses some", held)
	}
}
