package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/rkt/rkt/v2/cmd/rkt/internal/reference"
	"github.com/rkt/rkt/v2/core/engine"
	"github.com/rkt/rkt/v2/core/pod"
	"github.com/rkt/rkt/v2/proto/poddir"
)

// document is the JSON of one verb.
type document struct {
	of   reflect.Type
	what string
	open bool // it is a stored document of somebody else's format, which may have more
}

// documents are what docs/schema describes, by the page of the verb. trust has it with --list only.
func documents() map[string]document {
	return map[string]document{
		"list":                {of: reflect.TypeFor[[]podJSON](), what: "the pods, the youngest first"},
		"status":              {of: reflect.TypeFor[podJSON](), what: "one pod"},
		"stop":                {of: reflect.TypeFor[[]endedJSON](), what: "what became of each pod"},
		"rm":                  {of: reflect.TypeFor[[]endedJSON](), what: "what became of each pod"},
		"gc":                  {of: reflect.TypeFor[gcJSON](), what: "what gc did, by the pods' UUIDs"},
		"cat-manifest":        {of: reflect.TypeFor[poddir.Pod](), what: "a pod's manifest, as run; proto/poddir explains the fields"},
		"fetch":               {of: reflect.TypeFor[[]imageJSON](), what: "the images, in the order of the arguments"},
		"image-list":          {of: reflect.TypeFor[[]imageJSON](), what: "the stored images, the oldest import first"},
		"image-gc":            {of: reflect.TypeFor[imageGCJSON](), what: "what was removed"},
		"image-cat-manifest":  {of: reflect.TypeFor[ocispec.Manifest](), what: "an image's OCI manifest, as stored", open: true},
		"trust":               {of: reflect.TypeFor[[]keyJSON](), what: "the keys of trust --list"},
		"plugin-list":         {of: reflect.TypeFor[[]pluginJSON](), what: "every plugin that discovery finds"},
		"plugin-inspect":      {of: reflect.TypeFor[pluginDetailJSON](), what: "all that is known of one plugin"},
		"plugin-pin":          {of: reflect.TypeFor[[]pinJSON](), what: "what is allowed from now on, in the order of the arguments"},
		"plugin-unpin":        {of: reflect.TypeFor[[]pinJSON](), what: "what was allowed until now, in the order of the arguments"},
		"plugin-in-use":       {of: reflect.TypeFor[[]pluginUseJSON](), what: "the copies of plugins that pods hold"},
		"plugin-config-check": {of: reflect.TypeFor[[]configCheckJSON](), what: "the plugins' configurations, with what is wrong"},
		"plugin-logs":         {of: reflect.TypeFor[[]pluginFailureJSON](), what: "the last failure of each plugin, or of one"},
		"plugin-check":        {of: reflect.TypeFor[[]findingJSON](), what: "what plugins find on this host"},
		"version":             {of: reflect.TypeFor[versionJSON](), what: "versions"},
	}
}

// choices are the types of which only some values occur.
func choices() map[reflect.Type]*jsonschema.Schema {
	return map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[pod.State](): enum(pod.StateEmbryo, pod.StatePreparing, pod.StateAbortedPrepare, pod.StatePrepared,
			pod.StateRunning, pod.StateExited, pod.StateExitedGarbage, pod.StateDeleting, pod.StateGarbage),
		reflect.TypeFor[appState]():           enum(appCreated, appState(poddir.AppRunning), appState(poddir.AppExited), appUnknown),
		reflect.TypeFor[poddir.SeccompMode](): enum(poddir.SeccompDefault, poddir.SeccompUnconfined),
		reflect.TypeFor[poddir.Stdin]():       enum(poddir.StdinNull, poddir.StdinStream, poddir.StdinTTY),
		reflect.TypeFor[poddir.VolumeKind]():  enum(poddir.VolumeHost, poddir.VolumeEmpty),
		reflect.TypeFor[outcome]():            enum(stopped, alreadyStopped, removed, failed),
		reflect.TypeFor[keyState]():           enum(keyTrusted, keyMasked, keyBroken),
		reflect.TypeFor[pluginState]():        enum(pluginOK, pluginRefused, pluginBroken, pluginMasked, pluginShadowed),
		reflect.TypeFor[findingState](): enum(findingOK, findingOptional, findingMissing, findingRefused, findingInvalid, findingBroken,
			findingCrashed),
		reflect.TypeFor[engine.PinState](): enum(engine.PinMatches, engine.PinDiffers, engine.PinUnknown),
		reflect.TypeFor[engine.SettingsState](): enum(engine.SettingsAbsent, engine.SettingsValid, engine.SettingsInvalid,
			engine.SettingsNoSchema, engine.SettingsOrphan),
		reflect.TypeFor[[]byte]():    {Type: "string", ContentEncoding: "base64"},
		reflect.TypeFor[time.Time](): {Type: "string", Format: "date-time"},
	}
}

func enum[T ~string](values ...T) *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "string"}
	for _, v := range values {
		s.Enum = append(s.Enum, string(v))
	}
	return s
}

// schemaOf is what docs/schema has of a document. There is never a null in what rkt says.
func schemaOf(name string, d document) (*jsonschema.Schema, error) {
	s, err := jsonschema.ForType(d.of, &jsonschema.ForOptions{TypeSchemas: choices()})
	if err != nil {
		return nil, err
	}
	everywhere(s, func(s *jsonschema.Schema) {
		if i := slices.Index(s.Types, "null"); i >= 0 {
			s.Type, s.Types = s.Types[1-i], nil
		}
		if d.open && s.Type == "object" && s.Properties != nil {
			s.AdditionalProperties = nil
		}
	})
	s.Schema = "https://json-schema.org/draft/2020-12/schema"
	s.Title = commandOf(name) + ": " + d.what
	return s, nil
}

// commandOf is the verb of a document: "rkt image cat-manifest" of "image-cat-manifest".
func commandOf(name string) string {
	for _, group := range []string{"image-", "plugin-config-", "plugin-"} {
		if rest, ok := strings.CutPrefix(name, group); ok {
			return "rkt " + strings.ReplaceAll(group, "-", " ") + rest
		}
	}
	return "rkt " + name
}

// everywhere calls f with a schema and all below it.
func everywhere(s *jsonschema.Schema, f func(*jsonschema.Schema)) {
	if s == nil {
		return
	}
	f(s)
	for _, p := range s.Properties {
		everywhere(p, f)
	}
	everywhere(s.Items, f)
	everywhere(s.AdditionalProperties, f)
}

func TestSchemas(t *testing.T) {
	files := map[string][]byte{"README.md": schemaIndex()}
	for name, d := range documents() {
		s, err := schemaOf(name, d)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		b, err := json.MarshalIndent(s, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		files[name+".json"] = append(b, '\n')
	}
	committed(t, "schema", files)
}

func schemaIndex() []byte {
	var b strings.Builder
	b.WriteString(`<!-- Written by ` + "`go test ./cmd/rkt -run TestSchemas -update`" + `. -->
# What machines read

The JSON of each verb, as JSON Schema 2020-12. Every document that the tests see is held to its schema.

Fields are only ever added, and values to those that have a list of them; none is renamed, removed, or changes its
type or meaning before rkt 3. So a reader should ignore what it does not know. The schemas are closed, in order that no field
comes without its line here. A field that is not required is left out when there is nothing to say; there is never a null.

| verb | document |
|---|---|
`)
	for _, name := range slices.Sorted(maps.Keys(documents())) {
		fmt.Fprintf(&b, "| [%s](%s.json) | %s |\n", commandOf(name), name, documents()[name].what)
	}
	return []byte(b.String())
}

// TestEveryDocumentHasASchema: a verb that can print JSON is in the table, and no other.
func TestEveryDocumentHasASchema(t *testing.T) {
	printing := map[string]bool{}
	err := reference.Walk(documented(), func(c *cobra.Command) error {
		if c.Flags().Lookup("format") != nil || c.Flags().Lookup("pretty-print") != nil {
			printing[strings.TrimPrefix(reference.Name(c), "rkt-")] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range printing {
		if _, ok := documents()[name]; !ok {
			t.Errorf("rkt %s prints JSON that has no schema", name)
		}
	}
	for name := range documents() {
		if !printing[name] {
			t.Errorf("docs/schema/%s.json is of a verb that prints no JSON", name)
		}
	}
}

// TestSchemasBind: what the code prints is accepted; a field more, a missing one and a null are not.
func TestSchemasBind(t *testing.T) {
	var pods []podJSON
	for _, i := range infos() {
		pods = append(pods, newPodJSON(i))
	}
	s, err := schemaOf("list", documents()["list"])
	if err != nil {
		t.Fatal(err)
	}
	resolved, err := s.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	validate := func(change func(pod map[string]any)) error {
		var b bytes.Buffer
		if err := printJSON(&b, pods, false); err != nil {
			t.Fatal(err)
		}
		var v []any
		if err := json.Unmarshal(b.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		change(v[0].(map[string]any))
		return resolved.Validate(v)
	}
	if err := validate(func(map[string]any) {}); err != nil {
		t.Errorf("refuses what list prints: %v", err)
	}
	for name, change := range map[string]func(map[string]any){
		"a new field":    func(p map[string]any) { p["colour"] = "red" },
		"a missing one":  func(p map[string]any) { delete(p, "apps") },
		"a null":         func(p map[string]any) { p["networks"] = nil },
		"an odd state":   func(p map[string]any) { p["state"] = "dancing" },
		"another type":   func(p map[string]any) { p["pid"] = "1" },
		"a field within": func(p map[string]any) { p["apps"].([]any)[0].(map[string]any)["x"] = 1 },
	} {
		if validate(change) == nil {
			t.Errorf("accepts %s", name)
		}
	}
}
