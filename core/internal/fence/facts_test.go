package fence

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// published returns the type-checked packages that others may import: sdk and the hand-written ones of proto,
// less commands. Of the generated ones proto/v1.txt says more in less.
func published(t *testing.T) []*types.Package {
	t.Helper()
	cmd := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Name,Export", "./sdk/...", "./proto/...")
	cmd.Dir = "../../.."
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	exports := map[string]string{}
	var want []string
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct{ ImportPath, Name, Export string }
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		exports[p.ImportPath] = p.Export
		rel, ours := strings.CutPrefix(p.ImportPath, module+"/")
		if ours && p.Name != "main" && p.Export != "" && !strings.Contains(rel, "internal/") && !strings.HasPrefix(rel, "proto/rkt/") {
			want = append(want, p.ImportPath)
		}
	}
	imp := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	slices.Sort(want)
	var pkgs []*types.Package
	for _, path := range want {
		p, err := imp.Import(path)
		if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
	return pkgs
}

// facts are what the package promises, one a line, so that a change is a line of a diff:
//
//	sdk/fetcher, type Info struct, Name string
//	sdk/fetcher, type Fetcher interface, Fetch(context.Context, Request, *Progress) (Result, error)
func facts(p *types.Package) []string {
	f := &factList{pkg: p, at: strings.TrimPrefix(p.Path(), module+"/")}
	for _, name := range p.Scope().Names() {
		obj := p.Scope().Lookup(name)
		if !obj.Exported() {
			continue
		}
		switch obj := obj.(type) {
		case *types.Const:
			f.add("const %s %s = %s", name, f.text(obj.Type()), obj.Val().ExactString())
		case *types.Var:
			f.add("var %s %s", name, f.text(obj.Type()))
		case *types.Func:
			f.add("func %s%s", name, f.signature(obj.Signature()))
		case *types.TypeName:
			f.typeName(obj)
		}
	}
	slices.Sort(f.lines)
	return f.lines
}

type factList struct {
	pkg   *types.Package
	at    string
	lines []string
}

func (f *factList) add(format string, args ...any) {
	f.lines = append(f.lines, f.at+", "+fmt.Sprintf(format, args...))
}

// text writes a type with its own package's names bare, and others by the last element of their path.
func (f *factList) text(t types.Type) string {
	return types.TypeString(t, func(p *types.Package) string {
		if p == f.pkg {
			return ""
		}
		return p.Name()
	})
}

// signature is without the names of parameters, which promise nothing.
func (f *factList) signature(s *types.Signature) string {
	bare := func(t *types.Tuple) *types.Tuple {
		var vars []*types.Var
		for v := range t.Variables() {
			vars = append(vars, types.NewParam(token.NoPos, nil, "", v.Type()))
		}
		return types.NewTuple(vars...)
	}
	return strings.TrimPrefix(f.text(types.NewSignatureType(nil, nil, nil, bare(s.Params()), bare(s.Results()), s.Variadic())), "func")
}

func (f *factList) typeName(obj *types.TypeName) {
	name := obj.Name()
	if obj.IsAlias() {
		f.add("type %s = %s", name, f.text(types.Unalias(obj.Type())))
		return
	}
	switch u := obj.Type().Underlying().(type) {
	case *types.Struct:
		f.add("type %s struct", name)
		for v := range u.Fields() {
			if v.Exported() {
				f.add("type %s struct, %s %s%s", name, v.Name(), f.text(v.Type()), jsonKey(u, v))
			}
		}
	case *types.Interface:
		f.add("type %s interface", name)
		for m := range u.Methods() {
			f.add("type %s interface, %s%s", name, m.Name(), f.signature(m.Signature()))
		}
		return
	default:
		f.add("type %s %s", name, f.text(u))
	}
	set := types.NewMethodSet(types.NewPointer(obj.Type()))
	for i := range set.Len() {
		if m, ok := set.At(i).Obj().(*types.Func); ok && m.Exported() {
			recv := name
			if types.NewMethodSet(obj.Type()).Lookup(m.Pkg(), m.Name()) == nil {
				recv = "*" + name
			}
			f.add("method (%s) %s%s", recv, m.Name(), f.signature(m.Signature()))
		}
	}
}

// jsonKey is part of the promise: these structs are files of the pod directory.
func jsonKey(s *types.Struct, v *types.Var) string {
	for i := range s.NumFields() {
		if s.Field(i) == v && s.Tag(i) != "" {
			return " `" + s.Tag(i) + "`"
		}
	}
	return ""
}
