package fence

import (
	"flag"
	"go/types"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

var (
	update = flag.Bool("update", false, "write sdk/api.txt anew")
	freeze = flag.Bool("freeze", false, "write sdk/api-frozen.txt anew: at a release, and never otherwise")
)

// The exported API of sdk and proto, as it is and as it was last released.
const (
	apiFile    = "../../../sdk/api.txt"
	frozenFile = "../../../sdk/api-frozen.txt"
)

// stable are the packages that keep what a release has promised (docs/stability.md). The others are building
// blocks of our own flavors; they are listed, so that a change is seen, and may change.
var stable = []string{
	"proto/launch", "proto/manifest", "proto/ociapp", "proto/poddir", "proto/reason",
	"sdk/fetcher", "sdk/network", "sdk/ocilayout", "sdk/plugin", "sdk/stage1", "sdk/supervise", "sdk/verifier",
}

func isStable(fact string) bool {
	pkg, _, _ := strings.Cut(fact, ", ")
	return slices.Contains(stable, pkg)
}

// TestAPI shows every change of the exported API as lines of a diff, and refuses one that a plugin built against
// the last release would not compile or work with.
func TestAPI(t *testing.T) {
	var now []string
	for _, p := range published(t) {
		now = append(now, facts(p)...)
	}
	if *update {
		writeLines(t, apiFile, now)
	}
	if *freeze {
		writeLines(t, frozenFile, slices.DeleteFunc(slices.Clone(now), func(f string) bool { return !isStable(f) }))
	}
	listed := readLines(t, apiFile)
	for _, f := range missing(listed, now) {
		t.Errorf("gone from the API: %s", f)
	}
	for _, f := range missing(now, listed) {
		t.Errorf("new in the API: %s", f)
	}
	if t.Failed() {
		t.Error("if that is meant: go test ./core/internal/fence -run TestAPI -update, and have the diff of sdk/api.txt reviewed")
	}
	for _, problem := range incompatible(readLines(t, frozenFile), now) {
		t.Errorf("breaks plugins built against the last release: %s", problem)
	}
}

// incompatible holds an API against a released one. What is gone breaks; so does a new method of an interface
// that plugins implement: all of ours are for that, since what the sdk offers is structs and functions.
func incompatible(frozen, now []string) []string {
	var out []string
	for _, f := range missing(frozen, now) {
		out = append(out, "gone: "+f)
	}
	for _, f := range missing(now, frozen) {
		iface, _, method := strings.Cut(f, " interface, ")
		if isStable(f) && method && slices.Contains(frozen, iface+" interface") {
			out = append(out, "a method more for its implementers: "+f+" (make it an interface of its own, found by assertion)")
		}
	}
	return out
}

func TestIncompatible(t *testing.T) {
	frozen := []string{
		"sdk/fetcher, func Main(Info)",
		"sdk/fetcher, type Fetcher interface",
		"sdk/fetcher, type Fetcher interface, Fetch()",
		"sdk/fetcher, type Info struct",
		"sdk/fetcher, type Info struct, Name string",
	}
	add := func(f string) []string { return append(slices.Clone(frozen), f) }
	for _, c := range []struct {
		what string
		now  []string
		bad  int
	}{
		{"nothing changed", frozen, 0},
		{"a field more", add("sdk/fetcher, type Info struct, Vendor string"), 0},
		{"a function more", add("sdk/fetcher, func NotFound() error"), 0},
		{"an interface more", append(add("sdk/fetcher, type Resolver interface"), "sdk/fetcher, type Resolver interface, Resolve()"), 0},
		{"a method of an interface more", add("sdk/fetcher, type Fetcher interface, Close()"), 1},
		{"a function gone", frozen[1:], 1},
		{"a field of another type", append(slices.Clone(frozen[:4]), "sdk/fetcher, type Info struct, Name []byte"), 1},
		{"an unstable package", append(add("sdk/vmhost, type F interface"), "sdk/vmhost, type F interface, M()"), 0},
	} {
		if got := incompatible(frozen, c.now); len(got) != c.bad {
			t.Errorf("%s: %q, want %d", c.what, got, c.bad)
		}
	}
}

// TestNoForeignTypes: whoever builds on the sdk sees the standard library, proto and the sdk, and can follow a
// change of gRPC, or of us to something else, without a change of their own.
func TestNoForeignTypes(t *testing.T) {
	pkgs := published(t)
	named := aliased(pkgs)
	for _, p := range pkgs {
		seen := maps.Clone(named)
		for _, name := range p.Scope().Names() {
			if obj := p.Scope().Lookup(name); obj.Exported() {
				for _, foreign := range foreignTypes(obj.Type(), p, seen) {
					t.Errorf("%s.%s shows %s", p.Path(), name, foreign)
				}
			}
		}
	}
}

// aliased are the types that an exported alias gives a name to: what is internal has one so, and can be written.
func aliased(pkgs []*types.Package) map[types.Type]bool {
	out := map[types.Type]bool{}
	for _, p := range pkgs {
		for _, name := range p.Scope().Names() {
			tn, ok := p.Scope().Lookup(name).(*types.TypeName)
			if !ok || !tn.IsAlias() || !tn.Exported() {
				continue
			}
			if n, ok := types.Unalias(tn.Type()).(*types.Named); ok && strings.HasPrefix(n.Obj().Pkg().Path(), module) {
				out[n] = true
			}
		}
	}
	return out
}

// foreignTypes walks what can be reached from a type through exported names alone.
func foreignTypes(typ types.Type, p *types.Package, seen map[types.Type]bool) (out []string) {
	typ = types.Unalias(typ)
	if seen[typ] {
		return nil
	}
	seen[typ] = true
	walk := func(ts ...types.Type) {
		for _, t := range ts {
			out = append(out, foreignTypes(t, p, seen)...)
		}
	}
	switch t := typ.(type) {
	case *types.Named:
		if pkg := t.Obj().Pkg(); pkg != nil && pkg != p {
			path := pkg.Path()
			first, _, _ := strings.Cut(path, "/")
			own := strings.HasPrefix(path, module+"/sdk/") || strings.HasPrefix(path, module+"/proto/")
			if strings.Contains(first, ".") && (!own || strings.Contains(path, "/internal/") || strings.Contains(path, "/proto/rkt/")) {
				return []string{t.String()}
			}
			return nil // its own package answers for it
		}
		for m := range t.Methods() {
			if m.Exported() {
				walk(m.Type())
			}
		}
		walk(t.Underlying())
	case *types.Struct:
		for f := range t.Fields() {
			if f.Exported() {
				walk(f.Type())
			}
		}
	case *types.Interface:
		for m := range t.Methods() {
			walk(m.Type())
		}
	case *types.Signature:
		for _, tuple := range []*types.Tuple{t.Params(), t.Results()} {
			for v := range tuple.Variables() {
				walk(v.Type())
			}
		}
	case *types.Map:
		walk(t.Key(), t.Elem())
	case interface{ Elem() types.Type }: // pointer, slice, array, channel
		walk(t.Elem())
	}
	return out
}

func missing(from, in []string) []string {
	return slices.DeleteFunc(slices.Clone(from), func(s string) bool { return slices.Contains(in, s) })
}

func readLines(t *testing.T, name string) []string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

func writeLines(t *testing.T, name string, lines []string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}
