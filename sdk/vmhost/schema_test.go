package vmhost

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
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
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		fields = append(fields, name)
	}
	slices.Sort(fields)
	if keys := slices.Sorted(maps.Keys(s.Properties)); !slices.Equal(fields, keys) {
		t.Errorf("the struct has %q, the schema %q", fields, keys)
	}
	for doc, good := range map[string]bool{
		`{}`: true,
		`{"accel":"auto","kernel":"/boot/vmlinuz","modules":"/lib/modules/1","kernelArgs":"quiet","program":"/usr/bin/x","machine":"microvm","virtiofsd":"/x"}`: true,
		`{"cpus":1024,"memoryPerApp":"64Mi","memoryOverhead":1024,"memoryMin":"1Gi","diskSize":"64Mi","bootSeconds":3600}`:                                      true,
		`{"unknown":1}`:              false,
		`{"accel":"xen"}`:            false,
		`{"machine":"pc"}`:           false,
		`{"kernel":"vmlinuz"}`:       false,
		`{"modules":"/lib/modules"}`: false,
		`{"kernelArgs":"a\nb"}`:      false,
		`{"kernelArgs":"a\u0000b"}`:  false,
		`{"program":7}`:              false,
		`{"cpus":-1}`:                false,
		`{"cpus":1025}`:              false,
		`{"cpus":"2"}`:               false,
		`{"memoryMin":"512 MB"}`:     false,
		`{"memoryMin":-1}`:           false,
		`{"memoryMin":1.5}`:          false,
		`{"memoryMin":[]}`:           false,
		`{"bootSeconds":3601}`:       false,
		`[]`:                         false,
	} {
		var v any
		if err := json.Unmarshal([]byte(doc), &v); err != nil {
			t.Fatal(err)
		}
		_, decoded := ParseConfig([]byte(doc))
		if checked := r.Validate(v); (checked == nil) != good || (decoded == nil) != good {
			t.Errorf("%s: the schema says %v, the plugin %v, wanted is %v", doc, checked, decoded, good)
		}
	}
}
