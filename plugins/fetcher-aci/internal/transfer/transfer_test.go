package transfer

import (
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
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/fetcher"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

var content = bytes.Repeat([]byte("0123456789abcdef"), 20_000)

func client(a fetcher.Access) *Client {
	c := New(a, "9.9")
	c.backoff = func(int) time.Duration { return 0 }
	return c
}

func insecure() fetcher.Access { return fetcher.Access{AllowHTTP: true, InsecureTLS: true} }

func reasonOf(err error) reason.Reason {
	var e *plugin.Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

func fetch(t *testing.T, c *Client, u, dir string) ([]byte, error) {
	t.Helper()
	d, err := c.Blob(t.Context(), u, dir, nil)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(dir, "blobs", strings.Replace(d.Digest, ":", "/", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(b)) != d.Size {
		t.Errorf("size %d, descriptor says %d", len(b), d.Size)
	}
	left, _ := filepath.Glob(dir + "/download-*")
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	return b, nil
}

// flaky serves content in pieces: each answer ends after limit bytes without saying so beforehand.
type flaky struct {
	mu      sync.Mutex
	limit   int
	etag    string
	data    []byte
	ranges  bool
	asked   []string
	answers int
}

func (f *flaky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, r.Header.Get("Range"))
	f.answers++
	if f.etag != "" {
		w.Header().Set("ETag", f.etag)
	}
	start := 0
	if rg := r.Header.Get("Range"); rg != "" && f.ranges && r.Header.Get("If-Range") == f.etag {
		start, _ = strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(rg, "bytes="), "-"))
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", start, len(f.data)-1, len(f.data)))
		w.Header().Set("Content-Length", strconv.Itoa(len(f.data)-start))
		w.WriteHeader(http.StatusPartialContent)
	} else {
		w.Header().Set("Content-Length", strconv.Itoa(len(f.data)))
	}
	end := min(len(f.data), start+f.limit)
	w.Write(f.data[start:end])
	if end < len(f.data) {
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

func TestResume(t *testing.T) {
	for name, c := range map[string]struct {
		srv     *flaky
		answers int
		fails   bool
	}{
		"whole":            {&flaky{limit: 1 << 30, etag: `"a"`, ranges: true}, 1, false},
		"in five pieces":   {&flaky{limit: len(content)/5 + 1, etag: `"a"`, ranges: true}, 5, false},
		"no ranges":        {&flaky{limit: len(content) / 2, etag: `"a"`}, 0, true},
		"weak validator":   {&flaky{limit: len(content) / 2, etag: `W/"a"`, ranges: true}, 1, true},
		"no validator":     {&flaky{limit: len(content) / 2}, 1, true},
		"server that dies": {&flaky{limit: 0, etag: `"a"`, ranges: true}, 4, true},
	} {
		t.Run(name, func(t *testing.T) {
			c.srv.data = content
			s := httptest.NewServer(c.srv)
			defer s.Close()
			b, err := fetch(t, client(insecure()), s.URL+"/x.aci", t.TempDir())
			if (err != nil) != c.fails || err == nil && !bytes.Equal(b, content) {
				t.Errorf("%d bytes, %v", len(b), err)
			}
			if err != nil && reasonOf(err) != reason.NetworkUnreachable {
				t.Errorf("reason %q of %v", reasonOf(err), err)
			}
			c.srv.mu.Lock()
			defer c.srv.mu.Unlock()
			if c.answers > 0 && c.srv.answers != c.answers {
				t.Errorf("%d requests, want %d: %q", c.srv.answers, c.answers, c.srv.asked)
			}
		})
	}
}

// A second process on the same directory goes on; when the file has changed meanwhile, it starts again.
func TestResumeAcrossProcesses(t *testing.T) {
	for name, change := range map[string]bool{"same": false, "changed": true} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			srv := &flaky{limit: len(content) / 3, etag: `"a"`, data: content}
			s := httptest.NewServer(srv)
			defer s.Close()
			if _, err := fetch(t, client(insecure()), s.URL+"/x.aci", dir); err == nil {
				t.Fatal("a third was taken for the whole")
			}
			if left, _ := filepath.Glob(dir + "/download-*.partial"); len(left) != 1 {
				t.Fatalf("nothing is left to resume: %v", left)
			}
			srv.mu.Lock()
			srv.asked, srv.ranges, srv.limit = nil, true, 1<<30
			if change {
				srv.etag, srv.data = `"b"`, bytes.ToUpper(content)
			}
			srv.mu.Unlock()
			b, err := fetch(t, client(insecure()), s.URL+"/x.aci", dir)
			if err != nil || !bytes.Equal(b, srv.data) {
				t.Errorf("%d bytes, %v", len(b), err)
			}
			srv.mu.Lock()
			defer srv.mu.Unlock()
			if len(srv.asked) != 1 || srv.asked[0] == "" {
				t.Errorf("asked for %q, want one range", srv.asked)
			}
		})
	}
}

func TestWrongRangeIsNotAppended(t *testing.T) {
	var n atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"a"`)
		switch n.Add(1) {
		case 1:
			w.Header().Set("Content-Length", strconv.Itoa(len(content)))
			w.Write(content[:1000])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case 2: // other bytes than asked for
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 500-%d/%d", len(content)-1, len(content)))
			w.WriteHeader(http.StatusPartialContent)
			w.Write(content[500:])
		default:
			w.Write(content)
		}
	}))
	defer s.Close()
	if b, err := fetch(t, client(insecure()), s.URL, t.TempDir()); err != nil || !bytes.Equal(b, content) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

func TestStatuses(t *testing.T) {
	for status, want := range map[int]reason.Reason{
		401: reason.AuthRequired, 403: reason.AuthDenied, 404: reason.ImageNotFound, 410: reason.ImageNotFound,
		429: reason.RegistryThrottled, 500: reason.NetworkUnreachable, 503: reason.NetworkUnreachable, 418: reason.NetworkUnreachable, 202: reason.NetworkUnreachable,
	} {
		s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(status)
		}))
		_, err := fetch(t, client(insecure()), s.URL+"/x?token=secret", t.TempDir())
		if reasonOf(err) != want || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), s.URL) {
			t.Errorf("%d: %q, %v; want %q", status, reasonOf(err), err, want)
		}
		var e *plugin.Error
		if status == 429 && (!errors.As(err, &e) || e.Metadata[plugin.RetryAfterKey] != "7s") {
			t.Errorf("429: %+v", e)
		}
		s.Close()
	}
}

func TestInsecure(t *testing.T) {
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "x") })
	plain, secure := httptest.NewServer(ok), httptest.NewTLSServer(ok)
	defer plain.Close()
	defer secure.Close()
	down := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusFound))
	defer down.Close()
	file := httptest.NewTLSServer(http.RedirectHandler("file:///etc/passwd", http.StatusFound))
	defer file.Close()
	for name, c := range map[string]struct {
		url    string
		access fetcher.Access
		want   reason.Reason
	}{
		"http":                   {plain.URL, fetcher.Access{InsecureTLS: true}, reason.InsecureRefused},
		"http allowed":           {plain.URL, fetcher.Access{AllowHTTP: true}, ""},
		"unknown CA":             {secure.URL, fetcher.Access{AllowHTTP: true}, reason.InsecureRefused},
		"unknown CA allowed":     {secure.URL, fetcher.Access{InsecureTLS: true}, ""},
		"https to http":          {down.URL, fetcher.Access{InsecureTLS: true}, reason.InsecureRefused},
		"https to http allowed":  {down.URL, insecure(), ""},
		"https to file":          {file.URL, insecure(), reason.InsecureRefused},
		"nobody there":           {"http://127.0.0.1:1/", insecure(), reason.NetworkUnreachable},
		"credentials in the URL": {strings.Replace(plain.URL, "//", "//u:p@", 1), insecure(), reason.ReferenceInvalid},
		"no host":                {"http:///x", insecure(), reason.ReferenceInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := client(c.access).Get(t.Context(), c.url, 10, false)
			if reasonOf(err) != c.want || (err == nil) != (c.want == "") {
				t.Errorf("%v (%q), want %q", err, reasonOf(err), c.want)
			}
			if err != nil && strings.Contains(err.Error(), "u:p@") {
				t.Errorf("the password is in %v", err)
			}
		})
	}
	if _, _, err := client(insecure()).Get(t.Context(), plain.URL, 0, false); err == nil {
		t.Error("the limit was passed")
	}
}

func TestCredentials(t *testing.T) {
	var got []string
	record := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Host+" "+r.Header.Get("Authorization")+" "+r.UserAgent()+r.Referer())
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusFound)
		}
	})
	a, b, plain := httptest.NewTLSServer(record), httptest.NewTLSServer(record), httptest.NewServer(record)
	defer a.Close()
	defer b.Close()
	defer plain.Close()
	host := func(s *httptest.Server) string { u, _ := url.Parse(s.URL); return u.Host }
	c := client(fetcher.Access{AllowHTTP: true, InsecureTLS: true, Credentials: []fetcher.Credential{
		{Host: host(a), Username: "u", Password: "p"}, {Host: host(plain), Token: "never"},
	}})
	get := func(u string) {
		t.Helper()
		if _, _, err := c.Get(t.Context(), u, 1000, false); err != nil {
			t.Fatal(err)
		}
	}
	get(a.URL)
	get(a.URL + "?to=" + url.QueryEscape(b.URL))
	get(b.URL + "?to=" + url.QueryEscape(a.URL))
	get(a.URL + "?to=" + url.QueryEscape(plain.URL))
	auth, agent := " Basic dTpw rkt/9.9", "  rkt/9.9"
	want := []string{host(a) + auth, host(a) + auth, host(b) + agent, host(b) + agent, host(a) + auth, host(a) + auth, host(plain) + agent}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestRedirects(t *testing.T) {
	var s *httptest.Server
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Query().Get("n"))
		if n > 0 {
			http.Redirect(w, r, fmt.Sprintf("%s/?n=%d", s.URL, n-1), http.StatusFound)
		}
	}))
	defer s.Close()
	for n, ok := range map[int]bool{0: true, 10: true, 11: false} {
		_, _, err := client(insecure()).Get(t.Context(), fmt.Sprintf("%s/?n=%d", s.URL, n), 10, false)
		if (err == nil) != ok {
			t.Errorf("%d redirects: %v", n, err)
		}
	}
}

func TestCancel(t *testing.T) {
	started := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.Write([]byte("x"))
		w.(http.Flusher).Flush()
		close(started)
		<-r.Context().Done()
	}))
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-started; cancel() }()
	if _, err := client(insecure()).Blob(ctx, s.URL, t.TempDir(), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func FuzzContentRange(f *testing.F) {
	f.Add("bytes 0-1/2")
	f.Add("bytes 5-9/*")
	f.Fuzz(func(t *testing.T, s string) {
		if start, all, ok := contentRange(s); ok && (start < 0 || all <= start) {
			t.Errorf("%q: %d of %d", s, start, all)
		}
	})
}
