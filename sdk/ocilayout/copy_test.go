package ocilayout

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCopyFrom(t *testing.T) {
	src := open(t)
	var all []Descriptor
	for _, text := range []string{"manifest", "config", "layer"} {
		d, err := src.Blob(t.Context(), Descriptor{MediaType: text}, strings.NewReader(text), nil)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	if err := src.Done(all[0]); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(src.Dir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := root.WriteFile("blobs/sha256/README", nil, 0o644); err != nil { // nobody's blob
		t.Fatal(err)
	}
	to := open(t)
	items := map[string]int64{}
	for range 2 { // again after everything is there
		image, err := to.CopyFrom(t.Context(), root, func(digest string) Progress {
			return func(done, _ int64) { items[digest] = done }
		})
		if err != nil || image.Digest != all[0].Digest || image.MediaType != "manifest" {
			t.Fatalf("%+v, %v", image, err)
		}
	}
	for _, d := range all {
		if ok, err := to.Has(t.Context(), d); !ok || err != nil || items[d.Digest] != d.Size {
			t.Errorf("%s: %v, %v, progress %d of %d", d.MediaType, ok, err, items[d.Digest], d.Size)
		}
	}
	if got := blobs(t, to); len(got) != len(all) {
		t.Errorf("it has %q", got)
	}

	if err := root.WriteFile("blobs/"+strings.Replace(all[2].Digest, ":", "/", 1), []byte("other"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t).CopyFrom(t.Context(), root, nil); !errors.Is(err, ErrMismatch) {
		t.Errorf("a changed blob: %v", err)
	}
}

func TestCopyFromInvalid(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	to := open(t)
	_, err = to.CopyFrom(t.Context(), root, nil)
	if pe, ok := errors.AsType[*fs.PathError](err); !ok || !errors.Is(err, fs.ErrNotExist) || pe.Path != "index.json" {
		t.Errorf("no index: %v", err)
	}
	good := `{"digest":"sha256:` + strings.Repeat("a", 64) + `"}`
	for _, index := range [][]byte{
		nil, []byte("[]"), []byte(`{}`), []byte(`{"manifests":[` + good + "," + good + `]}`), []byte(`{"manifests":[{"digest":"sha256:../../x"}]}`),
		append([]byte(`{"manifests":[`+good+`]}`), bytes.Repeat([]byte(" x"), maxIndex)...),
	} {
		if err := os.WriteFile(filepath.Join(dir, "index.json"), index, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := to.CopyFrom(t.Context(), root, nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("%.60s: %v", index, err)
		}
	}
}
