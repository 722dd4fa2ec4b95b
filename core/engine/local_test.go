package engine

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rkt/rkt/v2/core/image"
	"github.com/rkt/rkt/v2/proto/launch"
)

// What a reference names is opened for the fetcher, of a vendor's scheme too; what is no file there is the fetcher's to judge.
func TestOpenLocal(t *testing.T) {
	file := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		reference, signature string
		names                string
		fails                bool
	}{
		{"oci:" + file + ":tag", "", launch.FDSource, false},
		{file, file, launch.FDSource + launch.FDSignature, false},
		{"path://" + file, "", launch.FDSource, false},
		{"path://" + file + "/none", "", "", false},
		{"s3://bucket/key", "", "", false},
		{"docker://" + filepath.Base(file), "", "", false},
		{"oci:" + file + ".none", "", "", true},
		{"path://" + file, file + ".none", launch.FDSource, true},
	} {
		ref, err := image.Parse(c.reference)
		if err != nil {
			t.Fatal(err)
		}
		fds, err := openLocal(ref, c.signature)
		names := ""
		for _, f := range fds {
			names += f.Name
		}
		closeAll(fds)
		if names != c.names || (err != nil) != c.fails {
			t.Errorf("%s %s: %q, %v", c.reference, c.signature, names, err)
		}
	}
}
