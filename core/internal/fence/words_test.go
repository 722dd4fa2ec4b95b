package fence

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestSDKWords: what a vendor reads is the documentation of the sdk, so every exported name says what it is. A
// method that only makes a type an error or a Stringer says it by its name.
func TestSDKWords(t *testing.T) {
	for _, p := range ours(t) {
		rel, _ := strings.CutPrefix(p.ImportPath, module+"/")
		if !strings.HasPrefix(rel, "sdk/") || strings.Contains(rel, "/internal/") || strings.Contains(rel, "/example/") {
			continue
		}
		d := documentation(t, p, p.GoFiles)
		mute := func(what, name, words string) {
			if strings.TrimSpace(words) == "" && ast.IsExported(name) {
				t.Errorf("%s: %s %s has no comment", rel, what, name)
			}
		}
		values := func(of []*doc.Value) {
			for _, v := range of {
				for _, spec := range v.Decl.Specs {
					s := spec.(*ast.ValueSpec)
					for _, n := range s.Names {
						mute(v.Decl.Tok.String(), n.Name, v.Doc+s.Doc.Text()+s.Comment.Text())
					}
				}
			}
		}
		values(d.Consts)
		values(d.Vars)
		for _, f := range d.Funcs {
			mute("func", f.Name, f.Doc)
		}
		for _, typ := range d.Types {
			mute("type", typ.Name, typ.Doc)
			values(typ.Consts)
			values(typ.Vars)
			for _, f := range typ.Funcs {
				mute("func", f.Name, f.Doc)
			}
			for _, m := range typ.Methods {
				if !slices.Contains([]string{"Error", "Unwrap", "String"}, m.Name) {
					mute("method "+typ.Name, m.Name, m.Doc)
				}
			}
		}
	}
}

// TestSDKExamples: every package that promises stability shows how it is used, with output that go test compares.
func TestSDKExamples(t *testing.T) {
	for _, p := range ours(t) {
		rel, _ := strings.CutPrefix(p.ImportPath, module+"/")
		if !strings.HasPrefix(rel, "sdk/") || !slices.Contains(stable, rel) {
			continue
		}
		set := token.NewFileSet()
		runs := 0
		for _, name := range slices.Concat(p.TestGoFiles, p.XTestGoFiles) {
			f, err := parser.ParseFile(set, filepath.Join(p.Dir, name), nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range doc.Examples(f) {
				if e.Output != "" {
					runs++
				}
			}
		}
		if runs == 0 {
			t.Errorf("%s has no example that runs (func Example with // Output:)", rel)
		}
	}
}

func documentation(t *testing.T, p pkg, names []string) *doc.Package {
	t.Helper()
	set := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		f, err := parser.ParseFile(set, filepath.Join(p.Dir, name), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	d, err := doc.NewFromFiles(set, files, p.ImportPath)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
