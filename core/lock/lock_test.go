package lock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

func sum(c string) string { return strings.Repeat(c, 64) }

func TestChange(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "etc")
	f, err := Read(dir)
	if err != nil || len(f.Plugins) != 0 {
		t.Fatalf("no file: %+v, %v", f, err)
	}
	// Many administrators at once: each one's change is there in the end.
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			err := Change(t.Context(), dir, func(f *File) (bool, error) {
				f.Plugins[fmt.Sprintf("p%d", i)] = Pin{Digest: sum("a"), Time: time.Unix(1, 0).UTC()}
				return true, nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if f, err = Read(dir); err != nil || len(f.Plugins) != 20 {
		t.Fatalf("%d pins, %v", len(f.Plugins), err)
	}
	before, _ := os.ReadFile(filepath.Join(dir, FileName))
	errStop := errors.New("stop")
	if err := Change(t.Context(), dir, func(f *File) (bool, error) { clear(f.Plugins); return true, errStop }); !errors.Is(err, errStop) {
		t.Error(err)
	}
	if err := Change(t.Context(), dir, func(f *File) (bool, error) { clear(f.Plugins); return false, nil }); err != nil {
		t.Error(err)
	}
	if after, _ := os.ReadFile(filepath.Join(dir, FileName)); string(after) != string(before) {
		t.Error("a change that failed, or was none, was written")
	}
	if names, _ := os.ReadDir(dir); len(names) != 1 {
		t.Errorf("left %v", names)
	}
	if fi, _ := os.Stat(filepath.Join(dir, FileName)); fi.Mode() != 0o644 {
		t.Errorf("mode %v", fi.Mode())
	}
}

func TestChangeCancelled(t *testing.T) {
	dir := t.TempDir()
	err := Change(t.Context(), dir, func(*File) (bool, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		return false, Change(ctx, dir, func(*File) (bool, error) { return false, nil })
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// A lock that is damaged is not the absence of a lock.
func TestReadRefuses(t *testing.T) {
	for _, c := range []struct{ in, says string }{
		{"", "unexpected end"},
		{"{", "unexpected end"},
		{"null", "schema is 0"},
		{`{"schema":2,"plugins":{}}`, "schema is 2, this rkt reads 1"},
		{`{"schema":1,"plugins":{"../x":{"digest":"` + sum("a") + `"}}}`, `"../x" is no plugin's name`},
		{`{"schema":1,"plugins":{"x":{"digest":""}}}`, `x: "" is no SHA-256 digest`},
		{`{"schema":1,"plugins":{"x":{"digest":"` + sum("A") + `"}}}`, "is no SHA-256 digest"},
		{`{"schema":1,"plugins":{"x":{"digest":"` + sum("a") + `","files":{"y":"1"}}}}`, `x: "y": "1" is no`},
		{`{"schema":1,"plugins":[]}`, "cannot unmarshal"},
		{`{"schema":1}` + strings.Repeat(" ", maxFile), "more than"},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, FileName), []byte(c.in), 0o644); err != nil {
			t.Fatal(err)
		}
		if f, err := Read(dir); err == nil || f != nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%.60s: %v, want %q", c.in, err, c.says)
		}
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, FileName), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(dir); err == nil {
		t.Error("a directory was read as a lock")
	}
}

func TestDiffering(t *testing.T) {
	p := Pin{Files: map[string]string{"a": sum("1"), "b": sum("2"), "c": sum("3")}}
	if d := p.Differing(map[string]string{"a": sum("1"), "b": sum("2"), "c": sum("3")}); d != nil {
		t.Error(d)
	}
	if d := p.Differing(map[string]string{"a": sum("1"), "b": sum("9"), "d": sum("4")}); !reflect.DeepEqual(d, []string{"b", "c", "d"}) {
		t.Error(d)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"schema":1,"plugins":{"x":{"digest":"` + sum("a") + `","files":{"y":"` + sum("b") + `"}}}}`))
	f.Add([]byte(`{"schema":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := parse(b)
		if err != nil {
			return
		}
		for name, p := range file.Plugins {
			if name == "" || strings.ContainsAny(name, "/\x00.") || !validSum(p.Digest) {
				t.Errorf("%q: %+v", name, p)
			}
		}
	})
}
