package reason_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/rkt/rkt/v2/proto/reason"
)

// constants are the Reasons that reason.go declares.
func constants(t *testing.T) []reason.Reason {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out []reason.Reason
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if id, ok := spec.Type.(*ast.Ident); ok && id.Name == "Reason" {
			word, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, reason.Reason(word))
		}
		return true
	})
	return out
}

// TestTable: every word has its row, and the rows are in the order of the words.
func TestTable(t *testing.T) {
	var rows []reason.Reason
	for _, r := range reason.Table() {
		rows = append(rows, r.Reason)
		if r.Meaning == "" || r.Sender == "" || r.Code == 0 {
			t.Errorf("%s: the row is not complete: %+v", r.Reason, r)
		}
	}
	if words := constants(t); !slices.Equal(rows, words) {
		t.Errorf("the table has\n%v\nreason.go declares\n%v", rows, words)
	}
}

// TestProtoNames: a reason that the comment of an RPC names is one that its service's
// plugins may send.
func TestProtoNames(t *testing.T) {
	files, err := filepath.Glob("../rkt/*/v1/*.proto")
	if err != nil || len(files) == 0 {
		t.Fatalf("no .proto files: %v", err)
	}
	known := map[string]reason.Row{}
	for _, r := range reason.Table() {
		known[string(r.Reason)] = r
	}
	word := regexp.MustCompile(`\b[A-Z]+_[A-Z_]+\b`)
	comment := regexp.MustCompile(`Errors:(?:.*\n *//)*.*\n`)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		area := reason.Sender(filepath.Base(filepath.Dir(filepath.Dir(f))))
		for _, errors := range comment.FindAllString(string(b), -1) {
			for _, w := range word.FindAllString(errors, -1) {
				r, ok := known[w]
				switch {
				case w == "INVALID_ARGUMENT": // the gRPC code that goes with one
				case !ok:
					t.Errorf("%s names %s, which is no reason", filepath.Base(f), w)
				case r.Sender != reason.AnyPlugin && r.Sender != area:
					t.Errorf("%s names %s, which is for a %s to send", filepath.Base(f), w, r.Sender)
				}
			}
		}
	}
}
