package failure

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestWriteRead(t *testing.T) {
	l := Open(filepath.Join(t.TempDir(), "failures"))
	if rs, err := l.List(); err != nil || len(rs) != 0 {
		t.Fatal(rs, err)
	}
	if _, err := l.Read("x"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	want := Record{Plugin: "x", Version: "1", Time: time.Unix(5, 0).UTC(), Verb: "start plugin", Reason: "PLUGIN_CRASHED", Message: "m", Log: []string{"a", "\x1b[0m"}}
	path, err := l.Write(want)
	if err != nil {
		t.Fatal(err)
	}
	if fi, _ := os.Stat(path); fi.Mode() != 0o600 {
		t.Error(fi.Mode())
	}
	got, err := l.Read("x")
	if err != nil || got.Message != "m" || len(got.Log) != 2 || got.Log[1] != "\x1b[0m" || !got.Time.Equal(want.Time) {
		t.Errorf("%+v, %v", got, err)
	}
	want.Message = "again"
	if _, err := l.Write(want); err != nil {
		t.Fatal(err)
	}
	if rs, err := l.List(); err != nil || len(rs) != 1 || rs[0].Message != "again" {
		t.Error(rs, err)
	}
	for _, name := range []string{"", "../x", "a/b", "X"} {
		if _, err := l.Write(Record{Plugin: name}); err == nil {
			t.Errorf("wrote %q", name)
		}
		if _, err := l.Read(name); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// However many plugins fail, and whatever they say.
func TestBounds(t *testing.T) {
	l := Open(t.TempDir())
	flood := make([]string, 5000)
	for i := range flood {
		flood[i] = fmt.Sprintf("%d %s", i, strings.Repeat("x", 100))
	}
	for i := range maxRecords + 20 {
		path, err := l.Write(Record{Plugin: fmt.Sprintf("p%d", i), Message: strings.Repeat("m", 1<<20), Verb: strings.Repeat("v", 1<<20), Log: flood})
		if err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(time.Duration(i-1000) * time.Second)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
		if fi, _ := os.Stat(path); fi.Size() > 2*MaxLog {
			t.Fatalf("%d bytes", fi.Size())
		}
	}
	rs, err := l.List()
	if err != nil || len(rs) != maxRecords {
		t.Fatalf("%d records, %v", len(rs), err)
	}
	if _, err := l.Read("p0"); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the oldest was kept")
	}
	r, err := l.Read(fmt.Sprintf("p%d", maxRecords+19))
	if err != nil {
		t.Fatal(err)
	}
	if last := r.Log[len(r.Log)-1]; !strings.HasPrefix(last, "4999 ") {
		t.Errorf("the end is lost: %.20s", last)
	}
}

func TestDamaged(t *testing.T) {
	dir := t.TempDir()
	l := Open(dir)
	if _, err := l.Write(Record{Plugin: "good"}); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"half.json": "{", "later.json": `{"schema":9}`, "README": "", ".x.tmp": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rs, err := l.List()
	if len(rs) != 1 || err == nil || !strings.Contains(err.Error(), "half.json") || !strings.Contains(err.Error(), "later.json") {
		t.Error(rs, err)
	}
}
