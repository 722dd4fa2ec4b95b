package images

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/fetcher"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// aci is an image of the name for linux/amd64.
func aci(t testing.TB, name, version string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	man := fmt.Sprintf(`{"acKind":"ImageManifest","acVersion":"0.8.11","name":%q,"labels":[{"name":"version","value":%q},{"name":"os","value":"linux"},{"name":"arch","value":"amd64"}]}`, name, version)
	w.WriteHeader(&tar.Header{Name: "rootfs", Typeflag: tar.TypeDir, Mode: 0o755})
	w.WriteHeader(&tar.Header{Name: "manifest", Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(man))})
	io.WriteString(w, man)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// site is a discovery and image server.
type site struct {
	*httptest.Server
	mu    sync.Mutex
	meta  string
	files map[string][]byte
	later map[string]bool // 202 until an image was asked for
	asked []string
}

func serve(t *testing.T, secure bool) *site {
	s := &site{files: map[string][]byte{}, later: map[string]bool{}}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asked = append(s.asked, r.URL.RequestURI())
		if r.URL.RawQuery == "ac-discovery=1" {
			if r.URL.Path != "" && r.URL.Path != "/" {
				http.NotFound(w, r)
				return
			}
			io.WriteString(w, "<html><head>"+s.meta+"</head></html>")
			return
		}
		if s.later[r.URL.Path] {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		b, ok := s.files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		clear(s.later)
		w.Write(b)
	})
	if secure {
		s.Server = httptest.NewTLSServer(h)
	} else {
		s.Server = httptest.NewServer(h)
	}
	s.Config.ErrorLog = nil
	t.Cleanup(s.Close)
	return s
}

func (s *site) host() string {
	u, _ := url.Parse(s.URL)
	return u.Host
}

func fetch(t *testing.T, ref string, mod ...func(*fetcher.Request)) (fetcher.Result, string, error) {
	t.Helper()
	req := fetcher.Request{
		Reference: ref, Platform: fetcher.Platform{OS: "linux", Architecture: "amd64"}, LayoutDir: t.TempDir(),
		Access: fetcher.Access{InsecureTLS: true, WantSignature: true},
	}
	for _, m := range mod {
		m(&req)
	}
	res, err := Fetcher{Version: "test"}.Fetch(t.Context(), req, nil)
	return res, req.LayoutDir, err
}

func blob(t *testing.T, dir string, d fetcher.Descriptor) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "blobs", strings.Replace(d.Digest, ":", "/", 1)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func reasonOf(err error) reason.Reason {
	var e *plugin.Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

const meta = `<meta name="ac-discovery" content="127.0.0.1 %s/%s{name}-{version}-{os}-{arch}.{ext}">`

func TestDiscovery(t *testing.T) {
	for scheme, secure := range map[string]bool{"https": true, "http": false} {
		t.Run(scheme, func(t *testing.T) {
			s := serve(t, secure)
			s.meta = fmt.Sprintf(meta, s.URL, "")
			img := aci(t, "127.0.0.1/team/app", "1.0")
			s.files["/127.0.0.1/team/app-1.0-linux-amd64.aci"] = img
			s.files["/127.0.0.1/team/app-1.0-linux-amd64.aci.asc"] = []byte("signature")
			res, dir, err := fetch(t, "aci://"+s.host()+"/team/app:1.0", func(r *fetcher.Request) { r.Access.AllowHTTP = !secure })
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(blob(t, dir, res.Image), img) || res.Image.MediaType != "application/vnd.appc.image.aci" {
				t.Errorf("image %+v", res.Image)
			}
			if len(res.Signatures) != 1 || string(blob(t, dir, res.Signatures[0])) != "signature" || res.Signatures[0].MediaType != SignatureType {
				t.Errorf("signatures %+v", res.Signatures)
			}
			if res.Canonical != "aci://127.0.0.1/team/app:1.0,arch=amd64,os=linux" || res.Labels["version"] != "1.0" || res.Labels["arch"] != "amd64" {
				t.Errorf("canonical %s, labels %v", res.Canonical, res.Labels)
			}
			if b, err := os.ReadFile(filepath.Join(dir, "index.json")); err != nil || !strings.Contains(string(b), res.Image.Digest) {
				t.Errorf("index %s, %v", b, err)
			}
			if !secure {
				return
			}
			if _, _, err := fetch(t, "aci://"+s.host()+"/team/app:1.0", func(r *fetcher.Request) { r.Access.InsecureTLS = false }); reasonOf(err) != reason.InsecureRefused {
				t.Errorf("with an unknown CA: %v", err)
			}
		})
	}
}

func TestPlainHTTPIsRefused(t *testing.T) {
	s := serve(t, false)
	s.meta = fmt.Sprintf(meta, s.URL, "")
	_, _, err := fetch(t, "aci://"+s.host()+"/app")
	if err == nil {
		t.Fatal("fetched")
	}
	secure := serve(t, true)
	secure.meta = fmt.Sprintf(meta, s.URL, "") // found by https, lies on http
	if _, _, err := fetch(t, "aci://"+secure.host()+"/app"); reasonOf(err) != reason.InsecureRefused || !strings.Contains(err.Error(), "--insecure-options=http") {
		t.Errorf("%v", err)
	}
	if len(s.asked) != 0 {
		for _, a := range s.asked {
			if !strings.HasPrefix(a, "/?") && a != "" {
				t.Errorf("asked over http for %q", s.asked)
			}
		}
	}
}

func TestAllEndpointsAreTried(t *testing.T) {
	s := serve(t, true)
	s.meta = fmt.Sprintf(meta+meta+meta, s.URL, "gone/", s.URL, "wrong/", s.URL, "good/")
	put := func(dir, name string) {
		s.files["/"+dir+"/127.0.0.1/app-latest-linux-amd64.aci"] = aci(t, name, "1")
		s.files["/"+dir+"/127.0.0.1/app-latest-linux-amd64.aci.asc"] = []byte("s")
	}
	put("wrong", "127.0.0.1/other")
	_, _, err := fetch(t, "aci://"+s.host()+"/app")
	if reasonOf(err) == "" || !strings.Contains(err.Error(), "3 endpoints") || !strings.Contains(err.Error(), "/gone/") || !strings.Contains(err.Error(), "is called 127.0.0.1/other") {
		t.Errorf("%v", err)
	}
	put("good", "127.0.0.1/app")
	res, dir, err := fetch(t, "aci://"+s.host()+"/app")
	if err != nil || !bytes.Equal(blob(t, dir, res.Image), aci(t, "127.0.0.1/app", "1")) {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestLabelsMustMatch(t *testing.T) {
	s := serve(t, true)
	s.meta = fmt.Sprintf(meta, s.URL, "")
	for _, v := range []string{"latest", "2.0"} {
		s.files["/127.0.0.1/app-"+v+"-linux-amd64.aci"] = aci(t, "127.0.0.1/app", "1.0")
		s.files["/127.0.0.1/app-"+v+"-linux-amd64.aci.asc"] = []byte("s")
	}
	if _, _, err := fetch(t, "aci://"+s.host()+"/app"); err != nil {
		t.Errorf("without a version: %v", err)
	}
	if _, _, err := fetch(t, "aci://"+s.host()+"/app:2.0"); reasonOf(err) != reason.ImageInvalid || !strings.Contains(err.Error(), `version="1.0"`) {
		t.Errorf("other version: %v", err)
	}
	if _, _, err := fetch(t, "aci://"+s.host()+"/app,channel=beta"); reasonOf(err) != reason.ImageInvalid {
		t.Errorf("label that the image has not: %v", err)
	}
	if _, _, err := fetch(t, "aci://"+s.host()+"/absent"); reasonOf(err) == "" {
		t.Errorf("absent: %v", err)
	}
}

func TestSignatures(t *testing.T) {
	s := serve(t, true)
	s.files["/app.aci"] = aci(t, "example.com/app", "1")
	ref := s.URL + "/app.aci"
	_, dir, err := fetch(t, ref)
	if reasonOf(err) != reason.SignatureRejected || !strings.Contains(err.Error(), "app.aci.asc") || !strings.Contains(err.Error(), "--insecure-options=image") {
		t.Errorf("unsigned: %v", err)
	}
	if got, _ := filepath.Glob(dir + "/blobs/*/*"); len(got) != 0 || strings.Join(s.asked, " ") != "/app.aci.asc" {
		t.Errorf("the image was fetched all the same: %q %q", got, s.asked)
	}
	res, _, err := fetch(t, ref, func(r *fetcher.Request) { r.Access.WantSignature = false })
	if err != nil || len(res.Signatures) != 0 || res.Canonical != "aci://example.com/app:1,arch=amd64,os=linux" {
		t.Errorf("none wanted: %+v, %v", res, err)
	}
	given := filepath.Join(t.TempDir(), "sig")
	os.WriteFile(given, []byte("given"), 0o644)
	res, dir, err = fetch(t, ref, func(r *fetcher.Request) { r.Access.SignatureFile = given })
	if err != nil || string(blob(t, dir, res.Signatures[0])) != "given" {
		t.Errorf("given: %+v, %v", res, err)
	}
	s.files["/app.aci.asc"] = []byte("late")
	s.later["/app.aci.asc"] = true
	s.asked = nil
	res, dir, err = fetch(t, ref+"?token=1")
	if err != nil || string(blob(t, dir, res.Signatures[0])) != "late" {
		t.Errorf("deferred: %+v, %v", res, err)
	}
	if want := "/app.aci.asc?token=1 /app.aci?token=1 /app.aci.asc?token=1"; strings.Join(s.asked, " ") != want {
		t.Errorf("asked %q, want %q", s.asked, want)
	}
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "app.aci")
	os.WriteFile(path, aci(t, "example.com/app", "1"), 0o644)
	ref := "aci-file:" + path
	if _, _, err := fetch(t, ref); reasonOf(err) != reason.SignatureRejected || !strings.Contains(err.Error(), path+".asc") {
		t.Errorf("unsigned: %v", err)
	}
	if res, _, err := fetch(t, ref, func(r *fetcher.Request) { r.Access.WantSignature = false }); err != nil || len(res.Signatures) != 0 {
		t.Errorf("none wanted: %+v, %v", res, err)
	}
	os.WriteFile(path+".asc", []byte("beside"), 0o644)
	res, out, err := fetch(t, ref)
	if err != nil || string(blob(t, out, res.Signatures[0])) != "beside" || res.Canonical != "aci://example.com/app:1,arch=amd64,os=linux" {
		t.Errorf("%+v, %v", res, err)
	}
	syscall.Mkfifo(filepath.Join(dir, "fifo.aci"), 0o644)
	os.WriteFile(filepath.Join(dir, "text.aci"), []byte("hello"), 0o644)
	unsigned := func(r *fetcher.Request) { r.Access.WantSignature = false }
	for ref, want := range map[string]reason.Reason{
		"aci-file:app.aci":               reason.ReferenceInvalid,
		"aci-file:" + dir + "/none.aci":  reason.ImageNotFound,
		"aci-file:" + dir:                reason.ReferenceInvalid,
		"aci-file:" + dir + "/fifo.aci":  reason.ReferenceInvalid,
		"aci-file:" + dir + "/text.aci":  reason.ImageInvalid,
		"docker://x":                     reason.ReferenceInvalid,
		"nothing":                        reason.ReferenceInvalid,
		"aci://UP":                       reason.ReferenceInvalid,
		"https://example.com/x":          reason.ReferenceInvalid,
		"aci-keys://example.com/app:1.0": reason.ReferenceInvalid,
	} {
		if _, _, err := fetch(t, ref, unsigned); reasonOf(err) != want {
			t.Errorf("%s: %v (%q), want %q", ref, err, reasonOf(err), want)
		}
	}
}

func TestKeys(t *testing.T) {
	s := serve(t, true)
	s.meta = fmt.Sprintf(`<meta name="ac-discovery-pubkeys" content="127.0.0.1 %s/a.asc"><meta name="ac-discovery-pubkeys" content="127.0.0.1/team %s/b.gpg">`, s.URL, s.URL)
	s.files["/a.asc"] = []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----\n")
	s.files["/b.gpg"] = []byte{0x99, 1, 2, 3}
	res, dir, err := fetch(t, "aci-keys://"+s.host()+"/team/app")
	if err != nil || res.Image.MediaType != KeysType || strings.Count(string(blob(t, dir, res.Image)), "-----BEGIN PGP PUBLIC KEY BLOCK-----") != 2 {
		t.Fatalf("%+v, %v", res, err)
	}
	if want := s.URL + "/a.asc " + s.URL + "/b.gpg"; res.Image.Annotations["org.rkt.keys.urls"] != want {
		t.Errorf("%v, want %q", res.Image.Annotations, want)
	}
	res, dir, err = fetch(t, "aci-keys://"+s.URL+"/a.asc")
	if err != nil || !bytes.Contains(blob(t, dir, res.Image), []byte("AAAA")) {
		t.Errorf("by URL: %+v, %v", res, err)
	}
	s.meta = ""
	if _, _, err := fetch(t, "aci-keys://"+s.host()+"/team"); reasonOf(err) != reason.ImageNotFound {
		t.Errorf("none: %v", err)
	}
}

func TestAgainOnTheSameDirectory(t *testing.T) {
	s := serve(t, true)
	s.files["/app.aci"] = aci(t, "example.com/app", "1")
	s.files["/app.aci.asc"] = []byte("s")
	dir := t.TempDir()
	in := func(r *fetcher.Request) { r.LayoutDir = dir }
	first, _, err := fetch(t, s.URL+"/app.aci", in)
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := fetch(t, s.URL+"/app.aci", in)
	if err != nil || second.Image.Digest != first.Image.Digest {
		t.Errorf("%+v, %v", second, err)
	}
	if got, _ := filepath.Glob(dir + "/blobs/sha256/*"); len(got) != 2 {
		t.Errorf("blobs %v", got)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Fetcher{}.Fetch(ctx, fetcher.Request{Reference: "aci://127.0.0.1:1/x", LayoutDir: t.TempDir(), Platform: fetcher.Platform{OS: "linux", Architecture: "amd64"}}, nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// The signatures alone: the image is not asked for, and a server that holds them back is no error.
func TestSignaturesOnly(t *testing.T) {
	s := serve(t, true)
	s.meta = fmt.Sprintf(meta, s.URL, "")
	const file = "/127.0.0.1/team/app-1.0-linux-amd64.aci"
	s.files[file] = aci(t, "127.0.0.1/team/app", "1.0")
	s.files[file+".asc"] = []byte("signature")
	given := filepath.Join(t.TempDir(), "given.asc")
	if err := os.WriteFile(given, []byte("given"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, ref string
		file      string
		later     bool
		want      []string
	}{
		{"by name", "aci://" + s.host() + "/team/app:1.0", "", false, []string{"signature"}},
		{"held back", "aci://" + s.host() + "/team/app:1.0", "", true, nil},
		{"none", "aci://" + s.host() + "/team/app:2.0", "", false, nil},
		{"given", "aci://" + s.host() + "/team/app:1.0", given, false, []string{"given"}},
		{"of a place", s.URL + file, "", false, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s.later = map[string]bool{file + ".asc": tc.later}
			s.asked = nil
			req := fetcher.Request{
				Reference: tc.ref, Platform: fetcher.Platform{OS: "linux", Architecture: "amd64"}, LayoutDir: t.TempDir(),
				Access: fetcher.Access{InsecureTLS: true, WantSignature: true, SignatureFile: tc.file},
			}
			res, err := Fetcher{Version: "test"}.Signatures(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range res.Signatures {
				got = append(got, string(blob(t, req.LayoutDir, d)))
			}
			if !slices.Equal(got, tc.want) || res.Image.Digest != "" || res.Image.MediaType == "" {
				t.Errorf("%q, image %+v, want %q", got, res.Image, tc.want)
			}
			if slices.Contains(s.asked, file) {
				t.Errorf("the image was asked for: %q", s.asked)
			}
		})
	}
}
