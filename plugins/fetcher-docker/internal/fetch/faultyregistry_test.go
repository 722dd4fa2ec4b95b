package fetch

import (
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/registry"
)

// faulty is a registry of one image that can be told to misbehave.
type faulty struct {
	t    *testing.T
	img  *built
	tags map[string]string // tag -> digest
	srv  *httptest.Server

	// hook, when it returns true, has answered. Before it the request is recorded.
	hook func(w http.ResponseWriter, r *http.Request) bool

	mu    sync.Mutex
	seen  []*http.Request
	gates map[string]int // uses of once
}

func newFaulty(t *testing.T, img *built, tls bool) *faulty {
	f := &faulty{t: t, img: img, tags: map[string]string{"latest": string(img.manifest.Digest)}, gates: map[string]int{}}
	f.srv = httptest.NewUnstartedServer(f)
	f.srv.Config.ErrorLog = quiet()
	if tls {
		f.srv.StartTLS()
	} else {
		f.srv.Start()
	}
	t.Cleanup(f.srv.Close)
	return f
}

func (f *faulty) host() string { return strings.SplitN(f.srv.URL, "//", 2)[1] }

func (f *faulty) ref() string { return "docker://" + f.host() + "/app" }

// once says true for the first n calls with key.
func (f *faulty) once(key string, n int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gates[key]++
	return f.gates[key] <= n
}

// requests returns "METHOD path" of what was seen, with " Range" where one was asked for.
func (f *faulty) requests(contains string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, r := range f.seen {
		s := r.Method + " " + r.URL.Path + " " + r.Header.Get("Range")
		if strings.Contains(s, contains) {
			out = append(out, strings.TrimSpace(s))
		}
	}
	return out
}

// authorizations returns the Authorization headers that came, empty ones left out.
func (f *faulty) authorizations() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, r := range f.seen {
		if a := r.Header.Get("Authorization"); a != "" {
			out = append(out, a)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (f *faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.seen = append(f.seen, r)
	f.mu.Unlock()
	if f.hook != nil && f.hook(w, r) {
		return
	}
	f.serve(w, r)
}

// serve answers as it should be.
func (f *faulty) serve(w http.ResponseWriter, r *http.Request) {
	what := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	if d, ok := f.tags[what]; ok {
		what = d
	}
	b, ok := f.img.blobs[what]
	if !ok || !strings.HasPrefix(r.URL.Path, "/v2/app/") {
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}`)
		return
	}
	if strings.Contains(r.URL.Path, "/manifests/") {
		var head struct {
			MediaType string `json:"mediaType"`
		}
		decode(f.t, b, &head)
		w.Header().Set("Content-Type", head.MediaType)
		w.Header().Set("Docker-Content-Digest", what)
		w.Write(b)
		return
	}
	serveRange(w, r, b)
}

func serveRange(w http.ResponseWriter, r *http.Request, b []byte) {
	if v, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok {
		from, _ := strconv.Atoi(strings.TrimSuffix(v, "-"))
		if from >= len(b) {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(b)-1, len(b)))
		w.Header().Set("Content-Length", strconv.Itoa(len(b)-from))
		w.WriteHeader(http.StatusPartialContent)
		w.Write(b[from:])
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.Write(b)
}

// breakOff sends n bytes of b with a Content-Length that promises all, and drops the connection.
func breakOff(w http.ResponseWriter, b []byte, n int) {
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.Write(b[:n])
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

// fastClient trusts the test's certificates and does not wait long.
func fastClient(t *testing.T, servers ...*httptest.Server) client {
	f := New("test")
	f.config.tune = registry.Tuning{Retries: 3, Backoff: time.Millisecond, LongestWait: 3 * time.Second, Stall: time.Second, Header: 20 * time.Second}
	f.rootCAs = x509.NewCertPool()
	for _, s := range servers {
		if s.Certificate() != nil {
			f.rootCAs.AddCert(s.Certificate())
		}
	}
	return client{t, f}
}
