package source

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/rkt/rkt/v2/sdk/conformance/internal/layout"
)

// Request is what was asked.
type Request struct {
	Method, Path, Range, Authorization string
}

// Server serves one image as repository "app".
type Server struct {
	Image *Image
	Tags  map[string]string // tag -> digest
	// Hook, when it returns true, has answered.
	Hook func(w http.ResponseWriter, r *http.Request) bool

	addr  string
	https bool
	srv   *http.Server

	mu   sync.Mutex
	seen []Request
	sent map[string]int64 // path -> bytes of bodies
}

// Serve starts a server on loopback.
func Serve(img *Image, https bool) (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{Image: img, Tags: map[string]string{"latest": img.Manifest.Digest}, addr: l.Addr().String(), https: https, sent: map[string]int64{}}
	s.srv = &http.Server{Handler: s, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute}
	if https {
		cert, err := selfSigned()
		if err != nil {
			l.Close()
			return nil, err
		}
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	}
	go s.srv.Serve(l)
	return s, nil
}

// Close drops every connection.
func (s *Server) Close() error { return s.srv.Close() }

// Host is host:port.
func (s *Server) Host() string { return s.addr }

// URL is the server's, without a path.
func (s *Server) URL() string {
	if s.https {
		return "https://" + s.addr
	}
	return "http://" + s.addr
}

// Reference names the image; suffix is a tag or a digest with its sign.
func (s *Server) Reference(suffix string) string { return "docker://" + s.addr + "/app" + suffix }

// Requests are those so far whose path contains part.
func (s *Server) Requests(part string) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Request
	for _, r := range s.seen {
		if strings.Contains(r.Path, part) {
			out = append(out, r)
		}
	}
	return out
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.seen = append(s.seen, Request{r.Method, r.URL.Path, r.Header.Get("Range"), r.Header.Get("Authorization")})
	s.mu.Unlock()
	if s.Hook != nil && s.Hook(w, r) {
		return
	}
	s.Answer(w, r)
}

// Answer is as it should be.
func (s *Server) Answer(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v2/" {
		w.WriteHeader(http.StatusOK)
		return
	}
	what := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	if d, ok := s.Tags[what]; ok {
		what = d
	}
	b, ok := s.Image.Blobs[what]
	if !ok || !strings.HasPrefix(r.URL.Path, "/v2/app/") {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}`)
		return
	}
	if strings.Contains(r.URL.Path, "/manifests/") {
		w.Header().Set("Content-Type", s.mediaType(what))
		w.Header().Set("Docker-Content-Digest", what)
	}
	http.ServeContent(w, r, "", time.Time{}, io.NewSectionReader(b.At, 0, b.Size))
}

func (s *Server) mediaType(digest string) string {
	if digest == s.Image.Manifest.Digest {
		return manifestType
	}
	head := make([]byte, 4<<10)
	n, _ := s.Image.Blobs[digest].At.ReadAt(head[:min(int64(len(head)), s.Image.Blobs[digest].Size)], 0)
	if strings.Contains(string(head[:n]), indexType) {
		return indexType
	}
	return manifestType
}

// Part sends the first n bytes of a blob with the length of all of it, and leaves the rest to the caller: to go silent,
// or to Break.
func (s *Server) Part(w http.ResponseWriter, d layout.Descriptor, n int64) {
	w.Header().Set("Content-Length", fmt.Sprint(d.Size))
	_, _ = io.Copy(w, io.NewSectionReader(s.Image.Blobs[d.Digest].At, 0, n))
	_ = http.NewResponseController(w).Flush()
}

// Break drops the connection of the request that is being answered.
func Break() { panic(http.ErrAbortHandler) }

// IsLayer says whether a request is for a blob.
func IsLayer(r *http.Request, d layout.Descriptor) bool {
	return strings.HasSuffix(r.URL.Path, d.Digest)
}

// IsManifest says whether a request is for a manifest.
func IsManifest(r *http.Request) bool { return strings.Contains(r.URL.Path, "/manifests/") }

// selfSigned is a certificate that nobody trusts.
func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
