package proto

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "github.com/rkt/rkt/v2/proto/rkt/fetcher/v1"
	_ "github.com/rkt/rkt/v2/proto/rkt/network/v1"
	_ "github.com/rkt/rkt/v2/proto/rkt/plugin/v1"
	_ "github.com/rkt/rkt/v2/proto/rkt/stage1/v1"
	_ "github.com/rkt/rkt/v2/proto/rkt/verifier/v1"
)

var update = flag.Bool("update", false, "write v1.txt anew")

// TestContractText compares the linked code with v1.txt. Protobuf's own text format is not used: it is made to
// differ from build to build, and spreads a field over ten lines.
func TestContractText(t *testing.T) {
	var files []protoreflect.FileDescriptor
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		if strings.HasPrefix(f.Path(), "rkt/") && strings.HasSuffix(string(f.Package()), ".v1") {
			files = append(files, f)
		}
		return true
	})
	if onDisk, err := filepath.Glob("rkt/*/v1/*.proto"); err != nil || len(onDisk) != len(files) {
		t.Fatalf("%d .proto files on disk (%v), %d linked here: import the others above", len(onDisk), err, len(files))
	}
	slices.SortFunc(files, func(a, b protoreflect.FileDescriptor) int { return cmp.Compare(a.Path(), b.Path()) })
	var b strings.Builder
	for _, f := range files {
		describeFile(&b, f)
	}
	const golden = "v1.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := firstDifference(string(want), b.String()); diff != "" {
		t.Errorf("the contract is not what %s says:\n%s\nif that is meant: go test ./proto -update, and have the diff reviewed", golden, diff)
	}
}

func describeFile(b *strings.Builder, f protoreflect.FileDescriptor) {
	fmt.Fprintf(b, "package %s  # %s, %s\n", f.Package(), f.Path(), f.Syntax())
	for s := range all[protoreflect.ServiceDescriptor](f.Services()) {
		fmt.Fprintf(b, "\n  service %s\n", s.FullName())
		for m := range all[protoreflect.MethodDescriptor](s.Methods()) {
			fmt.Fprintf(b, "    rpc %s(%s) returns (%s)\n", m.Name(), stream(m.IsStreamingClient(), m.Input()), stream(m.IsStreamingServer(), m.Output()))
		}
	}
	describeTypes(b, f.Enums(), f.Messages())
	b.WriteString("\n")
}

func stream(is bool, m protoreflect.MessageDescriptor) string {
	if is {
		return "stream " + string(m.FullName())
	}
	return string(m.FullName())
}

func describeTypes(b *strings.Builder, enums protoreflect.EnumDescriptors, messages protoreflect.MessageDescriptors) {
	for e := range all[protoreflect.EnumDescriptor](enums) {
		fmt.Fprintf(b, "\n  enum %s\n", e.FullName())
		for v := range all[protoreflect.EnumValueDescriptor](e.Values()) {
			fmt.Fprintf(b, "    %d %s\n", v.Number(), v.Name())
		}
		for i := range e.ReservedRanges().Len() {
			fmt.Fprintf(b, "    reserved %v\n", e.ReservedRanges().Get(i))
		}
		for i := range e.ReservedNames().Len() {
			fmt.Fprintf(b, "    reserved %s\n", e.ReservedNames().Get(i))
		}
	}
	for m := range all[protoreflect.MessageDescriptor](messages) {
		if m.IsMapEntry() {
			continue
		}
		fmt.Fprintf(b, "\n  message %s\n", m.FullName())
		for f := range all[protoreflect.FieldDescriptor](m.Fields()) {
			fmt.Fprintf(b, "    %d %s %s%s\n", f.Number(), fieldType(f), f.Name(), fieldRemarks(f))
		}
		for i := range m.ReservedRanges().Len() {
			r := m.ReservedRanges().Get(i)
			fmt.Fprintf(b, "    reserved %d to %d\n", r[0], r[1]-1)
		}
		for i := range m.ReservedNames().Len() {
			fmt.Fprintf(b, "    reserved %s\n", m.ReservedNames().Get(i))
		}
		describeTypes(b, m.Enums(), m.Messages())
	}
}

func fieldType(f protoreflect.FieldDescriptor) string {
	kind := f.Kind().String()
	switch {
	case f.IsMap():
		return fmt.Sprintf("map<%s, %s>", fieldType(f.MapKey()), fieldType(f.MapValue()))
	case f.Enum() != nil:
		kind = string(f.Enum().FullName())
	case f.Message() != nil:
		kind = string(f.Message().FullName())
	}
	switch {
	case f.IsList():
		return "repeated " + kind
	case f.HasOptionalKeyword():
		return "optional " + kind
	}
	return kind
}

func fieldRemarks(f protoreflect.FieldDescriptor) string {
	var out string
	if o := f.ContainingOneof(); o != nil && !o.IsSynthetic() {
		out += " # oneof " + string(o.Name())
	}
	if o, ok := f.Options().(interface{ GetDeprecated() bool }); ok && o.GetDeprecated() {
		out += " # deprecated"
	}
	return out
}

// all ranges over one of protoreflect's lists.
func all[T any](list interface {
	Len() int
	Get(int) T
}) func(func(T) bool) {
	return func(yield func(T) bool) {
		for i := range list.Len() {
			if !yield(list.Get(i)) {
				return
			}
		}
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		var a, b string
		if i < len(w) {
			a = w[i]
		}
		if i < len(g) {
			b = g[i]
		}
		if a != b {
			return fmt.Sprintf("line %d: %q there, %q in the code", i+1, a, b)
		}
	}
	return ""
}
