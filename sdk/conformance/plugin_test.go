package conformance

import (
	"go/parser"
	"go/token"
	"reflect"
	"regexp"
	"testing"

	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
)

// TestFields: every field reaches internal/suite.
func TestFields(t *testing.T) {
	p := Plugin{
		Dir: "d", Config: []byte("c"), References: []string{"r"}, Missing: []string{"m"}, AllowHTTP: true,
		Signed:   []Signed{{MediaType: "m", Image: "i", Signatures: []string{"s"}, SigType: "t", Name: "n", Keys: []string{"k"}, OtherKeys: []string{"o"}}},
		Networks: []string{"n"}, NetConfigs: "n", MaxRSS: 1,
	}
	from, to := reflect.ValueOf(p), reflect.ValueOf(p.suite())
	if from.NumField() != to.NumField() {
		t.Errorf("%d fields, %d of internal/suite", from.NumField(), to.NumField())
	}
	for i := range from.NumField() {
		name := from.Type().Field(i).Name
		switch f := to.FieldByName(name); {
		case from.Field(i).IsZero():
			t.Errorf("the test sets no %s", name)
		case !f.IsValid() || f.IsZero():
			t.Errorf("%s does not reach internal/suite", name)
		}
	}
	if got := p.suite().Signed[0]; !reflect.DeepEqual(got, suite.Signed(p.Signed[0])) {
		t.Errorf("%+v", got)
	}
}

// TestAliases: go doc shows nothing of what is behind an alias, so its comment names it.
func TestAliases(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "conformance.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var comments string
	for _, c := range f.Comments {
		comments += c.Text()
	}
	for _, typ := range []reflect.Type{reflect.TypeFor[Report](), reflect.TypeFor[Result]()} {
		var names []string
		for i := range typ.NumField() {
			names = append(names, typ.Field(i).Name)
		}
		ptr := reflect.PointerTo(typ)
		for i := range ptr.NumMethod() {
			names = append(names, ptr.Method(i).Name)
		}
		for _, name := range names {
			if !regexp.MustCompile(`\b` + name + `\b`).MatchString(comments) {
				t.Errorf("no comment of conformance.go names %s of %s", name, typ.Name())
			}
		}
	}
}
