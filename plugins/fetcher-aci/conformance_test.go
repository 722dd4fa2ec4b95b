package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/rkt/rkt/v2/sdk/conformance"
)

// aci is an image with a file of that many random bytes.
func aci(t *testing.T, size int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	put := func(name string, mode int64, kind byte, data []byte) {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: mode, Typeflag: kind, Size: int64(len(data))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	data := make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(data)
	put("manifest", 0o644, tar.TypeReg, fmt.Appendf(nil, `{"acKind":"ImageManifest","acVersion":"0.8.11","name":"example.com/app",
"labels":[{"name":"os","value":"linux"},{"name":"arch","value":%q},{"name":"version","value":"1"}],
"app":{"exec":["/data"],"user":"0","group":"0"}}`, runtime.GOARCH))
	put("rootfs/", 0o755, tar.TypeDir, nil)
	put("rootfs/data", 0o755, tar.TypeReg, data)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestConformance(t *testing.T) {
	image := aci(t, 2<<20)
	// Not below t.TempDir, which the user that the plugin runs as may not pass.
	dir, err := os.MkdirTemp("", "rkt-aci-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.WriteFile(filepath.Join(dir, "app.aci"), image, 0o644); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/app.aci" {
			http.NotFound(w, r)
			return
		}
		_, _ = io.Copy(w, bytes.NewReader(image))
	}))
	t.Cleanup(srv.Close)
	conformance.Run(t, conformance.Plugin{
		Dir:        conformance.Build(t, ".", nil),
		References: []string{"aci-file:" + filepath.Join(dir, "app.aci"), srv.URL + "/app.aci"},
		Missing:    []string{"aci-file:" + filepath.Join(dir, "none.aci"), srv.URL + "/none.aci"},
		AllowHTTP:  true,
	}, conformance.Options{Level: conformance.Isolation})
}
