// Package registry is a read-only OCI registry on loopback, for the demo and the tests: it serves image layouts
// that it is given. Real-registry behaviour is tested against a real registry server; this one is for machines
// that have none.
package registry

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/opencontainers/go-digest"
)

// Registry serves repositories.
type Registry struct {
	repos map[string]Image
	srv   *http.Server
	addr  string
}

// Image is one tag of one repository.
type Image struct {
	Layout    string // directory
	Tag       string
	Manifest  digest.Digest
	MediaType string
}

// Serve starts on a free port of 127.0.0.1.
func Serve(repos map[string]Image) (*Registry, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("serve registry: %w", err)
	}
	r := &Registry{repos: repos, addr: l.Addr().String()}
	r.srv = &http.Server{Handler: r}
	go r.srv.Serve(l) //nolint:errcheck // Close ends it
	return r, nil
}

// Addr is host:port.
func (r *Registry) Addr() string { return r.addr }

// Close ends it.
func (r *Registry) Close() error { return r.srv.Close() }

var route = regexp.MustCompile(`^/v2/([a-z0-9/._-]+)/(manifests|blobs)/([A-Za-z0-9:._-]+)$`)

func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Docker-Distribution-API-Version", "registry/2.0")
	if req.URL.Path == "/v2/" {
		return
	}
	m := route.FindStringSubmatch(req.URL.Path)
	if m == nil || req.Method != http.MethodGet && req.Method != http.MethodHead {
		http.NotFound(w, req)
		return
	}
	img, ok := r.repos[m[1]]
	want := m[3]
	if ok && m[2] == "manifests" && want == img.Tag {
		want = img.Manifest.String()
	}
	alg, hex, found := strings.Cut(want, ":")
	if !ok || !found || strings.ContainsAny(hex, "/.") {
		http.NotFound(w, req)
		return
	}
	f, err := os.Open(filepath.Join(img.Layout, "blobs", alg, hex))
	if err != nil {
		http.NotFound(w, req)
		return
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if m[2] == "manifests" {
		w.Header().Set("Content-Type", img.MediaType)
	}
	w.Header().Set("Docker-Content-Digest", want)
	http.ServeContent(w, req, "", st.ModTime(), f)
}
