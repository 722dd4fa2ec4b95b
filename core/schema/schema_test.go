package schema

import (
	"fmt"
	"strings"
	"testing"
)

const sample = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "accel": {"enum": ["kvm", "tcg"], "description": "how the guest runs"},
    "cpus": {"type": "integer", "minimum": 1, "maximum": 1024},
    "hosts": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string", "pattern": "^[a-z.:0-9]+$"}}},
    "a/b~c": {"type": "boolean"},
    "ref": {"$ref": "#/$defs/size", "description": "of the whole"},
    "sub": {"type": "object", "properties": {"size": {"$ref": "#/$defs/size"}}}
  },
  "$defs": {"size": {"description": "a size", "anyOf": [{"type": "integer"}, {"type": "string", "pattern": "^[0-9]+Mi$"}]}}
}`

func TestCheck(t *testing.T) {
	s, err := Parse([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		doc  string
		want []string // "pointer: a part of the summary"
	}{
		{`{}`, nil},
		{`{"accel":"tcg","cpus":4,"hosts":{"r.example":["auth.example:443"]},"a/b~c":true,"ref":"5Mi"}`, nil},
		{`[]`, []string{`: want "object"`}},
		{`null`, []string{`: want "object"`}},
		{`{"acel":"kvm"}`, []string{`/acel: is not known here; known are a/b~c, accel, cpus, hosts, ref, sub`}},
		{`{"Accel":"kvm"}`, []string{`/Accel: is not known here`}},
		{`{"accel":"xen"}`, []string{`/accel: wanted: how the guest runs (enum: xen does not equal any of: [kvm tcg])`}},
		{`{"accel":"xen","cpus":0,"x":1}`, []string{"/accel: ", "/cpus: 0", "/x: is not known"}},
		{`{"cpus":"4"}`, []string{`/cpus: want "integer"`}},
		{`{"cpus":1.5}`, []string{`/cpus: want "integer"`}},
		{`{"hosts":{"r.example":["ok.example","https://no.example/","*"]}}`, []string{"/hosts/r.example/1: does not match", "/hosts/r.example/2: does not match"}},
		{`{"hosts":{"r/~":"x"}}`, []string{`/hosts/r~1~0: want "array"`}},
		{`{"a/b~c":1}`, []string{`/a~1b~0c: want "boolean"`}},
		{`{"ref":"5 Mi"}`, []string{`/ref: wanted: of the whole; a size (has none of the forms that it can have)`}},
		{`{"sub":{"size":true}}`, []string{`/sub/size: wanted: a size (has none`}},
		{`{"cpus":1,"cpus":2}`, []string{`1:16: the key "cpus" is there twice`}},
		{"{\n  \"cpus\": 1,\n}", []string{`3:1: is no JSON`}},
		{`{"cpus":`, []string{`: is no JSON`}},
		{``, []string{`1:1: is no JSON: unexpected end`}},
		{`{}{}`, []string{`1:3: is no JSON: invalid character`}},
		{strings.Repeat("[", 5000) + strings.Repeat("]", 5000), []string{`: nested too deep`}},
	} {
		found := s.Check([]byte(c.doc))
		ok := len(found) == len(c.want)
		for i := range found {
			where := found[i].Pointer
			if found[i].Line > 0 {
				where = fmt.Sprintf("%d:%d", found[i].Line, found[i].Column)
			}
			if ok {
				at, text, _ := strings.Cut(c.want[i], ": ")
				ok = (at == where || at == "" && found[i].Line > 0) && strings.Contains(found[i].Summary, text)
			}
		}
		if !ok {
			t.Errorf("%.80s: %+v\nwant %q", c.doc, found, c.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, in := range []string{``, `[]`, `{"type":5}`, `{"$ref":"https://example.com/other.json"}`, `{"$ref":"#/$defs/none"}`, `{"pattern":"("}`} {
		if s, err := Parse([]byte(in)); err == nil {
			t.Errorf("%s: %+v", in, s)
		}
	}
}

func FuzzCheck(f *testing.F) {
	s, err := Parse([]byte(sample))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(`{"accel":"xen","hosts":{"a":["B"]},"ref":1}`)
	f.Add("{\n\"a\": }")
	f.Fuzz(func(t *testing.T, doc string) {
		for _, found := range s.Check([]byte(doc)) {
			if found.Summary == "" || found.Line < 0 || found.Column < 0 {
				t.Errorf("%q: %+v", doc, found)
			}
		}
	})
}
