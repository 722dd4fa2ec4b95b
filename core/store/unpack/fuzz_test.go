package unpack

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// FuzzLayer unpacks in this process, without a chroot: what keeps it inside is the code alone. Whatever the
// archive is, nothing appears beside the directory, and what was unpacked is what the journal says.
func FuzzLayer(f *testing.F) {
	for _, entries := range [][]ent{
		{dir("d"), reg("d/f", "hello"), sym("l", "d"), reg("l/g", "x"), link("h", "d/f")},
		{sym("a", "../.."), reg("a/x", "y"), reg(".wh.b", ""), reg("b/c", "d"), reg("b/.wh..wh..opq", "")},
		{reg("d/e/f", "x"), reg("d", "y"), dir("d"), dev("p", tar.TypeFifo, 0, 0), link("d/q", "p")},
		{sym("x", "y"), sym("y", "x"), dir("x"), reg("../up", ""), reg("/abs", "")},
	} {
		b := archive(f, entries...)
		f.Add(b)
		f.Add(gz(f, b))
		f.Add(zst(f, b))
	}
	f.Fuzz(func(t *testing.T, blob []byte) {
		base := t.TempDir()
		d := filepath.Join(base, "in", "diff")
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
		journalPath := filepath.Join(base, "journal")
		journal, err := os.Create(journalPath)
		if err != nil {
			t.Fatal(err)
		}
		defer journal.Close()
		root, err := os.Open(d)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		unix.Umask(0) // as run does
		lim := Limits{Entries: 1000, Bytes: 1 << 20, RatioFloor: 1 << 20}.withDefaults()
		l := newLayer(int(root.Fd()), journal, lim, true)
		err = l.unpack(bytes.NewReader(blob), sha256.New())
		l.dirs.forget()
		if out, _ := os.ReadDir(filepath.Join(base, "in")); len(out) != 1 {
			t.Fatalf("outside: %v", out)
		}
		if out, _ := os.ReadDir(base); len(out) != 2 {
			t.Fatalf("outside: %v", out)
		}
		if err != nil {
			return
		}
		if err := markOpaque(d, l.res.Opaque, false); err != nil {
			t.Fatalf("mark: %v", err)
		}
		found, err := Verify(context.Background(), d, journalPath, l.res.Journal, true)
		if err != nil || found != nil {
			t.Fatalf("verify: %q, %v", found, err)
		}
	})
}

func FuzzJournal(f *testing.F) {
	f.Add("f 644 0 0 1 5 abc \"x\"\nl 777 0 0 1 0 0 \"l\" \"t\"\n")
	f.Add("x 0 0 0 0 0 0 \"\\x00\"\n")
	f.Fuzz(func(t *testing.T, s string) {
		root := &node{}
		_, _ = ReadJournal(bytes.NewReader([]byte(s)), func(e *Entry) error {
			var b bytes.Buffer
			j := newJournal(&b)
			if err := j.add(e); err != nil {
				t.Fatal(err)
			}
			if _, err := j.finish(); err != nil {
				t.Fatal(err)
			}
			got, err := parseEntry(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
			if err != nil || *got != *e {
				t.Fatalf("%+v became %+v, %v", e, got, err)
			}
			root.put(e)
			return nil
		})
	})
}
