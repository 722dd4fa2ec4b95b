package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rkt/rkt/v2/sdk/conformance"
)

func TestConformance(t *testing.T) {
	// Not below t.TempDir, which the user that the plugin runs as may not pass.
	dir, err := os.MkdirTemp("", "rkt-file-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	image := filepath.Join(dir, "image.aci")
	for _, err := range []error{os.Chmod(dir, 0o755), os.WriteFile(image, make([]byte, 3<<20), 0o644)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	conformance.Run(t, conformance.Plugin{
		Dir:        conformance.Build(t, ".", nil),
		References: []string{"path://" + image},
		Missing:    []string{"path://" + filepath.Join(dir, "none.aci")},
	}, conformance.Options{Level: conformance.Isolation})
}
