package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// Finding is one thing that is wrong with a document.
type Finding struct {
	// Pointer is where, as a JSON pointer (RFC 6901); empty for the whole document.
	Pointer string
	// Line and Column count from 1; zero when the document could be read.
	Line, Column int
	Summary      string
}

// Schema is a compiled JSON schema.
type Schema struct {
	root     *jsonschema.Schema
	resolved *jsonschema.Resolved
}

// Parse compiles a schema. References to other documents are refused: nothing is fetched.
func Parse(b []byte) (*Schema, error) {
	var s jsonschema.Schema
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("parse JSON schema: %w", err)
	}
	r, err := s.Resolve(&jsonschema.ResolveOptions{BaseURI: "file:///config.schema.json"})
	if err != nil {
		return nil, fmt.Errorf("parse JSON schema: %w", err)
	}
	return &Schema{root: &s, resolved: r}, nil
}

// Check returns everything that is wrong with a document, nothing when it is right.
func (s *Schema) Check(doc []byte) []Finding {
	v, err := decode(doc)
	if err != nil {
		return []Finding{syntax(doc, err)}
	}
	return s.check(s.root, s.resolved, v, "")
}

// decode reads exactly one document. A key that is there twice is an error: which of the two counts is anybody's guess.
func decode(doc []byte) (any, error) {
	var syntax json.RawMessage
	if err := json.Unmarshal(doc, &syntax); err != nil { // it knows the place of an error better than the tokens do
		return nil, err
	}
	return value(json.NewDecoder(bytes.NewReader(doc)), 0)
}

// maxDepth is encoding/json's own bound halved: a configuration is flat.
const maxDepth = 500

func value(d *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, &at{d.InputOffset(), "it is nested too deep"}
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('{'):
		return object(d, depth)
	case json.Delim('['):
		out := []any{}
		for d.More() {
			v, err := value(d, depth+1)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		_, err := d.Token()
		return out, err
	}
	return t, nil
}

func object(d *json.Decoder, depth int) (any, error) {
	out := map[string]any{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		key, _ := t.(string) // the decoder lets no other key through
		if _, twice := out[key]; twice {
			return nil, &at{d.InputOffset(), fmt.Sprintf("the key %q is there twice", key)}
		}
		if out[key], err = value(d, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return out, err
}

// at is an error with its place in the document.
type at struct {
	offset int64
	text   string
}

func (e *at) Error() string { return e.text }

func syntax(doc []byte, err error) Finding {
	offset, text := int64(len(doc)), "is no JSON: "+err.Error()
	var s *json.SyntaxError
	var a *at
	switch {
	case errors.As(err, &s):
		offset = s.Offset
	case errors.As(err, &a):
		offset, text = a.offset, a.text
	}
	before := doc[:min(max(offset-1, 0), int64(len(doc)))]
	line := bytes.Count(before, []byte("\n")) + 1
	return Finding{Line: line, Column: len(before) - bytes.LastIndexByte(before, '\n'), Summary: text}
}

// check validates v and, to say where, goes down as long as a child alone is wrong. The library names the place in the
// schema, and stops at the first.
func (s *Schema) check(part *jsonschema.Schema, r *jsonschema.Resolved, v any, pointer string) []Finding {
	err := r.Validate(v)
	if err == nil {
		return nil
	}
	form := s.target(part)
	var found []Finding
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			found = append(found, s.below(property(form, key), v[key], pointer+"/"+escape(key))...)
			if closed(form) && form.Properties[key] == nil {
				found = append(found, Finding{Pointer: pointer + "/" + escape(key),
					Summary: "is not known here; known are " + strings.Join(slices.Sorted(maps.Keys(form.Properties)), ", ")})
			}
		}
	case []any:
		for i, item := range v {
			found = append(found, s.below(form.Items, item, pointer+"/"+strconv.Itoa(i))...)
		}
	}
	if len(found) == 0 {
		found = []Finding{{Pointer: pointer, Summary: words(part, form, err)}}
	}
	return found
}

// below checks a value against a part of the schema, which may refer to the definitions of the whole.
func (s *Schema) below(part *jsonschema.Schema, v any, pointer string) []Finding {
	if part == nil {
		return nil
	}
	alone := part.CloneSchemas()
	if alone.Defs == nil {
		alone.Defs = s.root.CloneSchemas().Defs
	}
	r, err := alone.Resolve(nil)
	if err != nil {
		return nil // it refers to something else of the whole: said of the parent
	}
	return s.check(part, r, v, pointer)
}

// target is the definition that a part refers to, or the part itself.
func (s *Schema) target(part *jsonschema.Schema) *jsonschema.Schema {
	if name, ok := strings.CutPrefix(part.Ref, "#/$defs/"); ok && s.root.Defs[name] != nil {
		return s.root.Defs[name]
	}
	return part
}

// property is the schema of one key, nil when the key is not for one of its own.
func property(s *jsonschema.Schema, key string) *jsonschema.Schema {
	if p := s.Properties[key]; p != nil {
		return p
	}
	if len(s.PatternProperties) > 0 || closed(s) {
		return nil
	}
	return s.AdditionalProperties
}

// closed says whether no other keys than those of properties may be there ("additionalProperties": false).
func closed(s *jsonschema.Schema) bool {
	a := s.AdditionalProperties
	return a != nil && a.Not != nil && len(s.PatternProperties) == 0
}

// escape writes a key as an element of a JSON pointer.
func escape(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
}

// words are the schema's own descriptions, what can be there, and then the library's, without the way through the schema.
func words(part, form *jsonschema.Schema, err error) string {
	text := err.Error()
	for strings.HasPrefix(text, "validating ") {
		_, rest, ok := strings.Cut(text, ": ")
		if !ok {
			break
		}
		text = rest
	}
	if len(form.AnyOf) > 0 || len(form.OneOf) > 0 {
		text = "has none of the forms that it can have" // the library lists them as Go prints them
	}
	var wanted []string
	for _, d := range []string{part.Description, form.Description} {
		if d != "" && !slices.Contains(wanted, d) {
			wanted = append(wanted, d)
		}
	}
	if len(wanted) > 0 {
		text = "wanted: " + strings.Join(wanted, "; ") + " (" + text + ")"
	}
	return text
}
