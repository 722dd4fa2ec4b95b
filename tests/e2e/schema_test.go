package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"

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
