package fetch

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/fetcher"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

var basicAlice = "Basic " + base64.StdEncoding.EncodeToString([]byte("alice:s3cret"))

// as gives the request alice's credential for a host.
func as(host string) func(*fetcher.Request) {
	return func(r *fetcher.Request) {
		r.Access.AllowHTTP = false
		r.Access.Credentials = []fetcher.Credential{{Host: host, Username: "alice", Password: "s3cret"}}
	}
}

// bearer makes f want a token of realm; tokens says which are good.
func bearer(f *faulty, realm string, good func(auth string) bool) {
	f.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/token") || good(r.Header.Get("Authorization")) {
			return tokenFor(w, r)
		}
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s",service="reg, \"quoted\"",scope="repository:app:pull"`, realm))
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
}

// tokenFor serves /token: "anonymous", or the user's name.
func tokenFor(w http.ResponseWriter, r *http.Request) bool {
	if !strings.HasPrefix(r.URL.Path, "/token") {
		return false
	}
	user := "anonymous"
	if u, pw, ok := r.BasicAuth(); ok {
		if user = u; pw != "s3cret" {
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
	}
	if r.URL.Query().Get("service") != `reg, "quoted"` || r.URL.Query().Get("scope") != "repository:app:pull" {
		w.WriteHeader(http.StatusBadRequest)
		return true
	}
	fmt.Fprintf(w, `{"token":%q}`, user)
	return true
}

func TestLogin(t *testing.T) {
	img := buildImage(t, amd64, 1, 1000)
	aliceOnly := func(a string) bool { return a == "Bearer alice" }

	t.Run("anonymous token of a foreign host", func(t *testing.T) {
		f, tokens := newFaulty(t, img, true), newFaulty(t, img, true)
		tokens.hook = tokenFor
		bearer(f, tokens.srv.URL+"/token", func(a string) bool { return a == "Bearer anonymous" })
		if _, err := fastClient(t, f.srv, tokens.srv).fetch(f.ref(), t.TempDir()); err != nil {
			t.Fatal(err)
		}
		if got := tokens.authorizations(); len(got) != 0 {
			t.Errorf("the token service got %q", got)
		}
		if n := len(tokens.requests("")); n != 1 {
			t.Errorf("%d tokens were fetched", n)
		}
	})
	t.Run("token of the registry itself", func(t *testing.T) {
		f := newFaulty(t, img, true)
		bearer(f, f.srv.URL+"/token", aliceOnly)
		if _, err := fastClient(t, f.srv).fetch(f.ref(), t.TempDir(), as(f.host())); err != nil {
			t.Fatal(err)
		}
		if got := f.authorizations(); !slices.Equal(got, []string{basicAlice, "Bearer alice"}) {
			t.Errorf("sent were %q", got)
		}
	})
	t.Run("credential withheld from a foreign token service", func(t *testing.T) {
		f, tokens := newFaulty(t, img, true), newFaulty(t, img, true)
		tokens.hook = tokenFor
		bearer(f, tokens.srv.URL+"/token", aliceOnly)
		c := fastClient(t, f.srv, tokens.srv)
		_, err := c.fetch(f.ref(), t.TempDir(), as(f.host()))
		wantReason(t, err, reason.AuthRequired, "foreign host", "token_hosts", tokens.host())
		if got := tokens.authorizations(); len(got) != 0 {
			t.Errorf("the foreign host got %q", got)
		}
		// The admin names it.
		conf := fmt.Sprintf(`{"token_hosts":{%q:[%q]}}`, f.host(), tokens.host())
		tune := c.f.config.tune
		if _, err := c.f.Configure(t.Context(), plugin.Config{JSON: []byte(conf)}); err != nil {
			t.Fatal(err)
		}
		c.f.config.tune = tune
		if _, err := c.fetch(f.ref(), t.TempDir(), as(f.host())); err != nil {
			t.Fatal(err)
		}
		if got := tokens.authorizations(); !slices.Equal(got, []string{basicAlice}) {
			t.Errorf("the token service got %q", got)
		}
	})
	t.Run("token service over plain http", func(t *testing.T) {
		f, tokens := newFaulty(t, img, true), newFaulty(t, img, false)
		tokens.hook = tokenFor
		bearer(f, tokens.srv.URL+"/token", aliceOnly)
		_, err := fastClient(t, f.srv).fetch(f.ref(), t.TempDir(), as(f.host()))
		wantReason(t, err, reason.InsecureRefused, "plain http")
		if n := len(tokens.requests("")); n != 0 {
			t.Errorf("%d requests over plain http", n)
		}
		_, err = fastClient(t, f.srv).fetch(f.ref(), t.TempDir(), as(f.host()), func(r *fetcher.Request) { r.Access.AllowHTTP = true })
		wantReason(t, err, reason.AuthRequired, "plain http")
		if got := tokens.authorizations(); len(got) != 0 {
			t.Errorf("sent over plain http: %q", got)
		}
	})
	t.Run("basic", func(t *testing.T) {
		f := newFaulty(t, img, true)
		f.hook = wantBasic
		if _, err := fastClient(t, f.srv).fetch(f.ref(), t.TempDir(), as(f.host())); err != nil {
			t.Fatal(err)
		}
		_, err := fastClient(t, f.srv).fetch(f.ref(), t.TempDir())
		wantReason(t, err, reason.AuthRequired, f.host())
		_, err = fastClient(t, f.srv).fetch(f.ref(), t.TempDir(), as(f.host()), func(r *fetcher.Request) { r.Access.Credentials[0].Password = "wrong" })
		wantReason(t, err, reason.AuthDenied, f.host(), "refused")
		if strings.Contains(err.Error(), "wrong") {
			t.Errorf("%q tells the password", err)
		}
		before := len(f.authorizations())
		_, err = fastClient(t, f.srv).fetch(f.ref(), t.TempDir(), as("127.0.0.1"))
		wantReason(t, err, reason.AuthRequired)
		if len(f.authorizations()) != before {
			t.Error("a credential for another port was sent")
		}
	})
	t.Run("never over plain http", func(t *testing.T) {
		f := newFaulty(t, img, false)
		f.hook = wantBasic
		_, err := fastClient(t).fetch(f.ref(), t.TempDir(), as(f.host()), func(r *fetcher.Request) { r.Access.AllowHTTP = true })
		wantReason(t, err, reason.AuthRequired, "not sent over plain http")
		bearer(f, f.srv.URL+"/token", aliceOnly)
		_, err = fastClient(t).fetch(f.ref(), t.TempDir(), as(f.host()), func(r *fetcher.Request) { r.Access.AllowHTTP = true })
		wantReason(t, err, reason.AuthRequired, "not sent over plain http")
		if got := f.authorizations(); !slices.Equal(got, []string{"Bearer anonymous"}) {
			t.Errorf("sent were %q", got)
		}
	})
	t.Run("bearer credential", func(t *testing.T) {
		f := newFaulty(t, img, true)
		bearer(f, f.srv.URL+"/token", func(a string) bool { return a == "Bearer given" })
		cred := func(token string) func(*fetcher.Request) {
			return func(r *fetcher.Request) {
				r.Access.Credentials = []fetcher.Credential{{Host: f.host(), Token: token}}
			}
		}
		if _, err := fastClient(t, f.srv).fetch(f.ref(), t.TempDir(), cred("given")); err != nil {
			t.Fatal(err)
		}
		_, err := fastClient(t, f.srv).fetch(f.ref(), t.TempDir(), cred("old"))
		wantReason(t, err, reason.AuthDenied)
	})
	t.Run("token runs out", func(t *testing.T) {
		f := newFaulty(t, img, true)
		issued := 0 // the last one is good; each is good for two requests
		used := 0
		f.hook = func(w http.ResponseWriter, r *http.Request) bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			if strings.HasPrefix(r.URL.Path, "/token") {
				issued++
				used = 0
				fmt.Fprintf(w, `{"access_token":"t%d"}`, issued)
				return true
			}
			if used++; r.Header.Get("Authorization") == fmt.Sprintf("Bearer t%d", issued) && used <= 2 {
				return false
			}
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+f.srv.URL+`/token"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		c := fastClient(t, f.srv)
		c.f.config.ParallelDownloads = 1
		dir := t.TempDir()
		res, err := c.fetch(f.ref(), dir)
		if err != nil {
			t.Fatal(err)
		}
		checkLayout(t, dir, res.Image, nil)
		if n := len(f.requests("/token")); n < 2 {
			t.Errorf("%d tokens for five requests", n)
		}
	})
}

func wantBasic(w http.ResponseWriter, r *http.Request) bool {
	if r.Header.Get("Authorization") == basicAlice {
		return false
	}
	w.Header().Set("WWW-Authenticate", `Basic realm="here"`)
	w.WriteHeader(http.StatusUnauthorized)
	return true
}

// TestRedirectLosesLogin: storage on another host gets the request, but not the header.
func TestRedirectLosesLogin(t *testing.T) {
	img := buildImage(t, amd64, 1, 1000)
	for _, code := range []int{301, 302, 303, 307, 308} {
		f, storage := newFaulty(t, img, true), newFaulty(t, img, true)
		back := false
		storage.hook = func(w http.ResponseWriter, r *http.Request) bool {
			if back { // and to the registry again, which must not get it any more either
				http.Redirect(w, r, f.srv.URL+"/back"+r.URL.Path, code)
				return true
			}
			return false
		}
		f.hook = func(w http.ResponseWriter, r *http.Request) bool {
			if path, ok := strings.CutPrefix(r.URL.Path, "/back"); ok {
				if r.Header.Get("Authorization") != "" {
					t.Error("the header came back")
				}
				r.URL.Path = path
				return false
			}
			if wantBasic(w, r) {
				return true
			}
			if strings.Contains(r.URL.Path, "/blobs/") {
				http.Redirect(w, r, strings.Replace(storage.srv.URL, "://", "://eve:pw@", 1)+r.URL.Path+"?signature=x", code)
				return true
			}
			return false
		}
		for _, back = range []bool{false, true} {
			dir := t.TempDir()
			res, err := fastClient(t, f.srv, storage.srv).fetch(f.ref(), dir, as(f.host()))
			if err != nil {
				t.Fatalf("%d: %v", code, err)
			}
			checkLayout(t, dir, res.Image, nil)
		}
		if got := storage.authorizations(); len(got) != 0 || len(storage.requests("")) == 0 {
			t.Errorf("%d: the storage got %q", code, got)
		}
	}
}

// TestForeignStorageAsksForLogin: its 401 must not make us log in there.
func TestForeignStorageAsksForLogin(t *testing.T) {
	img := buildImage(t, amd64, 1, 1000)
	f, storage := newFaulty(t, img, true), newFaulty(t, img, true)
	storage.hook = wantBasic
	f.hook = func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, storage.srv.URL+r.URL.Path, http.StatusFound)
		return true
	}
	_, err := fastClient(t, f.srv, storage.srv).fetch(f.ref(), t.TempDir(), as(f.host()))
	wantReason(t, err, reason.NetworkUnreachable, "storage", "401")
	if got := storage.authorizations(); len(got) != 0 {
		t.Errorf("the storage got %q", got)
	}
}

func TestCancel(t *testing.T) {
	img := buildImage(t, amd64, 1, 1000)
	f := newFaulty(t, img, false)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	f.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/blobs/") {
			return false
		}
		cancel()
		<-r.Context().Done()
		return true
	}
	_, err := New("test").Fetch(ctx, fetcher.Request{Reference: f.ref(), LayoutDir: t.TempDir(),
		Platform: fetcher.Platform{OS: "linux", Architecture: "amd64"}, Access: fetcher.Access{AllowHTTP: true}}, nil)
	if err == nil || ctx.Err() != context.Canceled {
		t.Errorf("%v, %v", err, ctx.Err())
	}
}

func TestConfigure(t *testing.T) {
	for conf, ok := range map[string]bool{
		`{}`: true,
		`{"parallel_downloads":5,"retries":2,"stall_timeout":"1m","token_hosts":{"r.example":["Auth.example"]}}`: true,
		`{"parallel_downloads":100}`:           false,
		`{"retries":-1}`:                       false,
		`{"stall_timeout":"-1s"}`:              false,
		`{"stall_timeout":5}`:                  false,
		`{"token_host":{}}`:                    false,
		`{"token_hosts":{"r":["https://x/"]}}`: false,
		`{`:                                    false,
	} {
		_, err := New("x").Configure(t.Context(), plugin.Config{JSON: []byte(conf)})
		if ok && err != nil {
			t.Errorf("%s: %v", conf, err)
		} else if !ok {
			wantReason(t, err, reason.ConfigInvalid)
		}
	}
}
