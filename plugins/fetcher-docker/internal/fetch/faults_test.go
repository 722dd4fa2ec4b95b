package fetch

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/fetcher"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// TestRecovers lists the faults after which the image must come whole.
func TestRecovers(t *testing.T) {
	img := buildImage(t, amd64, 1, 3<<20, "plain")
	layer := string(img.m.Layers[0].Digest)
	b := img.blobs[layer]
	isLayer := func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, layer) }
	isManifest := func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/manifests/") }
	for _, tt := range []struct {
		name   string
		hook   func(f *faulty, w http.ResponseWriter, r *http.Request) bool
		resume bool // some request must have asked for a range
	}{
		{"broken in the middle", func(f *faulty, w http.ResponseWriter, r *http.Request) bool {
			if isLayer(r) && f.once("x", 1) {
				breakOff(w, b, 1<<20)
			}
			return false
		}, true},
		{"broken often but moving", func(f *faulty, w http.ResponseWriter, r *http.Request) bool {
			if isLayer(r) && r.Header.Get("Range") == "" && f.once("x", 1) {
				breakOff(w, b, 100)
			}
			if isLayer(r) && f.once("y", 2) {
				panic(http.ErrAbortHandler)
			}
			return false
		}, true},
		{"chunked and short", func(f *faulty, w http.ResponseWriter, r *http.Request) bool {
			if isLayer(r) && f.once("x", 1) {
				w.Write(b[:1<<20])
				w.(http.Flusher).Flush()
				return true
			}
			return false
		}, true},
		{"chunked without length", func(f *faulty, w http.ResponseWriter, r *http.Request) bool {
			if isLayer(r) {
				w.(http.Flusher).Flush()
				w.Write(b)
				return true
			}
			return false
		}, false},
		{"no ranges", func(f *faulty, w http.ResponseWriter, r *http.Request) bool {
			if isLayer(r) && f.once("x", 1) {
				breakOff(w, b, 1<<20)
			}
			r.Header.Del("Range")
			return false
		}, false},
		{"another range", func(f *faulty, w http.ResponseWriter, r *http.Request) bool {
			if isLayer(r) && f.once("x", 1) {
				breakOff(w, b, 1<<20)
			}
			if isLayer(r) && f.once("y", 1) {
				w.Header().Set("Content-Range", "bytes 7-8/9")
				w.WriteHeader(http.StatusPartialContent)
				w.Write(b)
				return true
			}
			return false
		}, true},
		{"range refused", func(f *faulty, w http.ResponseWriter, r *http.Request) bool {
			if isLayer(r) && f.once("x", 1) {
				breakOff(w, b, 1<<20)
			}
			if isLayer(r) && r.Header.Get("Range") != "" {
				w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
				return true
			}
			return false
		}, true},
		{"stalls", func(f *faulty, w http.ResponseWriter, r *http.Request) bool {
			if isLayer(r) && f.once("x", 1) {
				w.Header().Set("Content-Length", strconv.Itoa(len(b)))
				w.Write(b[:5000])
				w.(http.Flusher).Flush()
				<-r.Context().Done() // until the client gives up
				return true
			}
			return false
		}, true},
		{"500 and 503", func(f *faulty, w http.ResponseWriter, r *http.Request) bool {
			if f.once(r.URL.Path, 1) {
				w.WriteHeader(http.StatusInternalServerError)
				return true
			}
			if f.once(r.URL.Path, 2) {
				w.WriteHeader(http.StatusServiceUnavailable)
				return true
			}
			return false
		}, false},
		{"429 with Retry-After", func(f *faulty, w http.ResponseWriter, r *http.Request) bool {
			if f.once("x", 1) {
				w.Header().Set("Retry-After", "1")
				w.WriteHeader(http.StatusTooManyRequests)
				return true
			}
			return false
		}, false},
		{"manifest cut off", func(f *faulty, w http.ResponseWriter, r *http.Request) bool {
			if isManifest(r) && f.once("x", 1) {
				breakOff(w, img.blobs[string(img.manifest.Digest)], 10)
			}
			return false
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFaulty(t, img, true)
			f.hook = func(w http.ResponseWriter, r *http.Request) bool { return tt.hook(f, w, r) }
			dir := t.TempDir()
			res, err := fastClient(t, f.srv).fetch(f.ref(), dir)
			if err != nil {
				t.Fatal(err)
			}
			checkLayout(t, dir, res.Image, nil)
			if got := len(f.requests("bytes=")) > 0; got != tt.resume && tt.name != "no ranges" {
				t.Errorf("asked for a range: %v; %q", got, f.requests(""))
			}
		})
	}
}

// TestRefuses lists the faults that end a fetch, with the reason that core hears.
func TestRefuses(t *testing.T) {
	img := buildImage(t, amd64, 1, 20_000)
	other := buildImage(t, amd64, 2, 100)
	layer := string(img.m.Layers[0].Digest)
	b := img.blobs[layer]
	raw := img.blobs[string(img.manifest.Digest)]
	isLayer := func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, layer) }
	manifest := func(w http.ResponseWriter, r *http.Request, mediaType string, b []byte) bool {
		if !strings.Contains(r.URL.Path, "/manifests/") {
			return false
		}
		w.Header().Set("Content-Type", mediaType)
		w.Write(b)
		return true
	}
	status := func(w http.ResponseWriter, code int, body string) bool {
		w.WriteHeader(code)
		io.WriteString(w, body)
		return true
	}
	digestRef := "@" + string(img.manifest.Digest)
	for _, tt := range []struct {
		name   string
		suffix string
		reason reason.Reason
		words  string
		hook   func(w http.ResponseWriter, r *http.Request) bool
	}{
		{"wrong bytes in a blob", "", reason.DigestMismatch, layer, func(w http.ResponseWriter, r *http.Request) bool {
			if !isLayer(r) {
				return false
			}
			bad := bytes.Clone(b)
			bad[len(bad)/2] ^= 1
			serveRange(w, r, bad)
			return true
		}},
		{"blob too long", "", reason.DigestMismatch, "bytes", func(w http.ResponseWriter, r *http.Request) bool {
			return isLayer(r) && func() bool { serveRange(w, r, append(bytes.Clone(b), 'x')); return true }()
		}},
		{"blob too long, chunked", "", reason.DigestMismatch, "bytes", func(w http.ResponseWriter, r *http.Request) bool {
			return isLayer(r) && func() bool {
				w.(http.Flusher).Flush()
				w.Write(append(bytes.Clone(b), make([]byte, 1<<20)...))
				return true
			}()
		}},
		{"blob too short", "", reason.DigestMismatch, "bytes", func(w http.ResponseWriter, r *http.Request) bool {
			return isLayer(r) && func() bool { serveRange(w, r, b[:len(b)-1]); return true }()
		}},
		{"blob always cut", "", reason.NetworkUnreachable, "EOF", func(w http.ResponseWriter, r *http.Request) bool {
			if isLayer(r) {
				breakOff(w, b, 10)
			}
			return false
		}},
		{"blob gone", "", reason.ImageNotFound, "lost blob " + layer, func(w http.ResponseWriter, r *http.Request) bool {
			return isLayer(r) && status(w, 404, "")
		}},
		{"content encoding", "", reason.DigestMismatch, "encoding", func(w http.ResponseWriter, r *http.Request) bool {
			if isLayer(r) {
				w.Header().Set("Content-Encoding", "gzip")
			}
			return false
		}},
		{"manifest of another digest", digestRef, reason.DigestMismatch, "digest", func(w http.ResponseWriter, r *http.Request) bool {
			return manifest(w, r, v1.MediaTypeImageManifest, other.blobs[string(other.manifest.Digest)])
		}},
		{"announced digest is another", "", reason.DigestMismatch, "digest", func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Docker-Content-Digest", string(other.manifest.Digest))
			return manifest(w, r, v1.MediaTypeImageManifest, raw)
		}},
		{"huge manifest", "", reason.ImageInvalid, "longer than", func(w http.ResponseWriter, r *http.Request) bool {
			return manifest(w, r, v1.MediaTypeImageManifest, bytes.Repeat([]byte(" "), 5<<20))
		}},
		{"huge manifest, chunked", "", reason.ImageInvalid, "longer than", func(w http.ResponseWriter, r *http.Request) bool {
			w.(http.Flusher).Flush()
			return manifest(w, r, "", bytes.Repeat([]byte(" "), 5<<20))
		}},
		{"no json", "", reason.ImageInvalid, "parse", func(w http.ResponseWriter, r *http.Request) bool {
			return manifest(w, r, v1.MediaTypeImageManifest, []byte("<html>"))
		}},
		{"schema 1", "", reason.ImageInvalid, "schema 1", func(w http.ResponseWriter, r *http.Request) bool {
			return manifest(w, r, "application/vnd.docker.distribution.manifest.v1+prettyjws", []byte(`{"schemaVersion":1,"fsLayers":[]}`))
		}},
		{"media types disagree", "", reason.ImageInvalid, "announced", func(w http.ResponseWriter, r *http.Request) bool {
			return manifest(w, r, v1.MediaTypeImageIndex, raw)
		}},
		{"both kinds", "", reason.ImageInvalid, "at once", func(w http.ResponseWriter, r *http.Request) bool {
			return manifest(w, r, v1.MediaTypeImageManifest, bytes.Replace(raw, []byte("{"), []byte(`{"manifests":[],`), 1))
		}},
		{"foreign layer", "", reason.ImageInvalid, "foreign", func(w http.ResponseWriter, r *http.Request) bool {
			return manifest(w, r, v1.MediaTypeImageManifest, bytes.Replace(raw, []byte("vnd.oci.image.layer.v1.tar+gzip"), []byte("vnd.oci.image.layer.nondistributable.v1.tar+gzip"), 1))
		}},
		{"artifact", "", reason.ImageInvalid, "helm", func(w http.ResponseWriter, r *http.Request) bool {
			return manifest(w, r, v1.MediaTypeImageManifest, bytes.Replace(raw, []byte("vnd.oci.image.config.v1"), []byte("vnd.cncf.helm.config.v1"), 1))
		}},
		{"unauthorized", "", reason.AuthRequired, "no credential for", func(w http.ResponseWriter, r *http.Request) bool { return status(w, 401, "") }},
		{"forbidden", "", reason.AuthDenied, "no access to repository app", func(w http.ResponseWriter, r *http.Request) bool {
			return status(w, 403, `{"errors":[{"code":"DENIED","message":"go\u001b[31maway\n"}]}`)
		}},
		{"not found", ":nope", reason.ImageNotFound, "nope", nil},
		{"always 429", "", reason.RegistryThrottled, "fewer requests", func(w http.ResponseWriter, r *http.Request) bool { return status(w, 429, "") }},
		{"always 502", "", reason.NetworkUnreachable, "502", func(w http.ResponseWriter, r *http.Request) bool { return status(w, 502, "") }},
		{"teapot", "", reason.NetworkUnreachable, "418", func(w http.ResponseWriter, r *http.Request) bool { return status(w, 418, "") }},
		{"redirect loop", "", reason.NetworkUnreachable, "redirects", func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
			return true
		}},
		{"redirect to a file", "", reason.NetworkUnreachable, "redirects", func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Location", "file:///etc/passwd")
			return status(w, 302, "")
		}},
		{"redirect to http", "", reason.InsecureRefused, "--insecure-options=http", func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Location", "http://127.0.0.1:1/x?signature=secret")
			return isLayer(r) && status(w, 307, "")
		}},
		{"unknown login", "", reason.AuthRequired, "Negotiate", func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("WWW-Authenticate", "Negotiate")
			return status(w, 401, "")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFaulty(t, img, true)
			f.hook = tt.hook
			dir := t.TempDir()
			_, err := fastClient(t, f.srv).fetch(f.ref()+tt.suffix, dir, func(r *fetcher.Request) { r.Access.AllowHTTP = false })
			wantReason(t, err, tt.reason)
			if !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(tt.words)) {
				t.Errorf("error %q does not say %q", err, tt.words)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("error %q tells a secret", err)
			}
			if _, err := os.Stat(filepath.Join(dir, "index.json")); err == nil {
				t.Error("an index was written")
			}
			// With the fault gone, the same call on the same directory works.
			f.hook = nil
			if tt.suffix != ":nope" {
				res, err := fastClient(t, f.srv).fetch(f.ref()+tt.suffix, dir)
				if err != nil {
					t.Fatalf("afterwards: %v", err)
				}
				checkLayout(t, dir, res.Image, nil)
			}
		})
	}
}

func TestThrottledTellsWhen(t *testing.T) {
	f := newFaulty(t, buildImage(t, amd64, 1, 10), true)
	f.hook = func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	}
	_, err := fastClient(t, f.srv).fetch(f.ref(), t.TempDir())
	wantReason(t, err, reason.RegistryThrottled)
	if e := err.(*plugin.Error); e.Metadata[plugin.RetryAfterKey] != "1h0m0s" {
		t.Errorf("metadata %v", e.Metadata)
	}
	if n := len(f.requests("")); n != 1 {
		t.Errorf("%d requests", n)
	}
}

// TestUnknownAuthority: https with a certificate that nobody signed.
func TestUnknownAuthority(t *testing.T) {
	f := newFaulty(t, buildImage(t, amd64, 1, 10), true)
	_, err := fastClient(t).fetch(f.ref(), t.TempDir())
	wantReason(t, err, reason.InsecureRefused, "--insecure-options=tls", "unknown authority")
	if len(f.requests("")) != 0 {
		t.Error("something was sent, or http was tried")
	}
	res, err := fastClient(t).fetch(f.ref(), t.TempDir(), func(r *fetcher.Request) { r.Access.InsecureTLS = true })
	if err != nil || res.Image.Digest == "" {
		t.Error(err)
	}
}

func TestRegistryGone(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	host := strings.TrimPrefix(srv.URL, "http://")
	srv.Close()
	_, err := newClient(t).fetch("docker://"+host+"/x", t.TempDir())
	wantReason(t, err, reason.NetworkUnreachable, host)
}
