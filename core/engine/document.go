package engine

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// greaseKey is defined by nobody.
const greaseKey = "rkt-grease"

// writeDocument writes what stage1s and supervisors read of a pod. With RKT_GREASE=1 the document, and each app in
// it, has a key more, as a later rkt's may (core/plugin/grease.go does the same on the wire).
func (e *Engine) writeDocument(podDir, name string, v any) error {
	if !e.Config.Grease {
		return poddir.WriteJSON(podDir, name, v)
	}
	doc, err := greased(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return poddir.WriteJSON(podDir, name, doc)
}

// greased adds the key to what v is as JSON, an object, and to the objects of its list "apps".
func greased(v any) (map[string]any, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	doc := map[string]any{}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber() // as they are
	if err := d.Decode(&doc); err != nil {
		return nil, err
	}
	apps, _ := doc["apps"].([]any)
	for _, object := range append(apps, doc) {
		if o, ok := object.(map[string]any); ok {
			o[greaseKey] = map[string]any{"ignore": []any{"what", "you", "do not", "know"}}
		}
	}
	return doc, nil
}
