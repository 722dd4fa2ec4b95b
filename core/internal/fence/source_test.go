package fence

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// banned are calls that our own non-test code does not make, each with the reason.
var banned = map[string]string{
	"os.IsNotExist": "it does not unwrap; use errors.Is(err, fs.ErrNotExist)",
	"os.IsExist":    "it does not unwrap; use errors.Is(err, fs.ErrExist)",
	"log.Fatal":     "only main exits",
	"log.Fatalf":    "only main exits",
}

// exits are the packages whose code may end the process.
var exits = []string{"cmd/", "tests/", "/main.go"}

func TestSource(t *testing.T) {
	root := "../../.."
	for _, p := range ours(t) {
		for _, name := range p.GoFiles {
			file := filepath.Join(p.Dir, name)
			if strings.HasSuffix(name, ".pb.go") {
				continue
			}
			rel, err := filepath.Rel(mustAbs(t, root), file)
			if err != nil {
				t.Fatal(err)
			}
			set := token.NewFileSet()
			f, err := parser.ParseFile(set, file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
					t.Errorf("%s: func init runs in every process that links it, wanted or not", rel)
				}
			}
			ast.Inspect(f, func(n ast.Node) bool {
				sel, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				x, ok := sel.X.(*ast.Ident)
				if !ok {
					return true
				}
				call := x.Name + "." + sel.Sel.Name
				if why, bad := banned[call]; bad {
					t.Errorf("%s: %s: %s", set.Position(n.Pos()), call, why)
				}
				if call == "os.Exit" && !mayExit(rel) {
					t.Errorf("%s: os.Exit: only main exits", set.Position(n.Pos()))
				}
				return true
			})
		}
	}
}

func mayExit(rel string) bool {
	for _, e := range exits {
		if strings.HasPrefix(rel, e) || strings.HasSuffix(rel, e) {
			return true
		}
	}
	return false
}

func mustAbs(t *testing.T, p string) string {
	t.Helper()
	abs, err := filepath.Abs(p)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}
