package fetch

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/rkt/rkt/v2/sdk/plugin"
)

// The schema, by which an operator checks a file, and the struct that is decoded are one.
func TestSchemaIsConfig(t *testing.T) {
	var s jsonschema.Schema
	if err := json.Unmarshal([]byte(ConfigSchema()), &s); err != nil {
		t.Fatal(err)
	}
	r, err := s.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	var fields []string
	for _, f := range reflect.VisibleFields(reflect.TypeFor[config]()) {
		if f.IsExported() {
			fields = append(fields, f.Tag.Get("json"))
		}
	}
	slices.Sort(fields)
	if keys := slices.Sorted(maps.Keys(s.Properties)); !slices.Equal(fields, keys) {
		t.Errorf("the struct has %q, the schema %q", fields, keys)
	}
	for doc, good := range map[string]bool{
		`{}`: true,
		`{"parallel_downloads":16,"retries":0,"connect_timeout":"1.5s","header_timeout":"1m30s","stall_timeout":"0","token_hosts":{"r.example:5000":["auth.example:443"],"q":[]}}`: true,
		`{"unknown":1}`:                               false,
		`{"parallel_downloads":17}`:                   false,
		`{"parallel_downloads":"3"}`:                  false,
		`{"retries":-1}`:                              false,
		`{"retries":1.5}`:                             false,
		`{"retries":101}`:                             false,
		`{"stall_timeout":5}`:                         false,
		`{"stall_timeout":"5"}`:                       false,
		`{"stall_timeout":"-5s"}`:                     false,
		`{"stall_timeout":"soon"}`:                    false,
		`{"token_hosts":["r"]}`:                       false,
		`{"token_hosts":{"r":"auth.example"}}`:        false,
		`{"token_hosts":{"r":["https://a.example"]}}`: false,
		`{"token_hosts":{"r":["*"]}}`:                 false,
		`{"token_hosts":{"r":[""]}}`:                  false,
		`[]`:                                          false,
	} {
		var v any
		if err := json.Unmarshal([]byte(doc), &v); err != nil {
			t.Fatal(err)
		}
		_, decoded := New("x").Configure(t.Context(), plugin.Config{JSON: []byte(doc)})
		if checked := r.Validate(v); (checked == nil) != good || (decoded == nil) != good {
			t.Errorf("%s: the schema says %v, the plugin %v, wanted is %v", doc, checked, decoded, good)
		}
	}
}
