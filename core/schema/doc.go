// Package schema holds a JSON document against a JSON schema, and says what is wrong in the document's own terms: where,
// and what was expected there.
//
// It owns the reading of both and the words of the findings. It does not own which document belongs to which schema
// (core/engine), nor what a configuration means: the plugin has the last word. It is the only importer of
// google/jsonschema-go.
package schema
