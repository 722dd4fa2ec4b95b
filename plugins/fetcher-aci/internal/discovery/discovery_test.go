package discovery

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/rkt/rkt/v2/plugins/fetcher-aci/internal/appc"
	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/fetcher"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// site answers by URL and notes what was asked.
type site struct {
	pages map[string]string
	fail  map[string]error
	asked []string
}

func (s *site) Get(_ context.Context, u string, _ int64, _ bool) ([]byte, int, error) {
	u = strings.TrimSuffix(u, "?ac-discovery=1")
	s.asked = append(s.asked, u)
	if err := s.fail[u]; err != nil {
		return nil, 0, err
	}
	if p, ok := s.pages[u]; ok {
		return []byte(p), 200, nil
	}
	return nil, 0, fetcher.NotFound("get %s: 404", u)
}

func meta(name, content string) string {
	return fmt.Sprintf(`<meta name=%q content=%q>`, name, content)
}

func TestParseMeta(t *testing.T) {
	for name, c := range map[string]struct {
		page string
		want []tag
	}{
		"plain":      {meta("ac-discovery", "e.com https://e.com/{name}"), []tag{{"e.com", "https://e.com/{name}"}}},
		"in a page":  {"<!DOCTYPE html><html><head><title>x</title>" + meta("other", "a b") + "<META content='e.com  https://x/' NAME=ac-discovery /></head><body>", []tag{{"e.com", "https://x/"}}},
		"two":        {meta("ac-discovery", "a https://1") + meta("ac-discovery", "b https://2"), []tag{{"a", "https://1"}, {"b", "https://2"}}},
		"entity":     {`<meta name="ac-discovery" content="a https://x/?a=1&amp;b=2">`, []tag{{"a", "https://x/?a=1&b=2"}}},
		"in comment": {"<!-- " + meta("ac-discovery", "a b") + " -->", nil},
		"in body":    {"<body>" + meta("ac-discovery", "a b"), nil},
		"in script":  {"<script>'" + meta("ac-discovery", "a b") + "'</script>", nil},
		"one field":  {meta("ac-discovery", "a"), nil},
		"three":      {meta("ac-discovery", "a b c"), nil},
		"keys":       {meta("ac-discovery-pubkeys", "a b"), nil},
		"cut":        {`<meta name="ac-discovery" content="a b`, nil},
	} {
		if got := parseMeta([]byte(c.page), tagImages); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	if got := parseMeta([]byte(strings.Repeat(meta("ac-discovery", "a b"), 1000)), tagImages); len(got) != maxTags {
		t.Errorf("%d tags of one page", len(got))
	}
}

func TestRender(t *testing.T) {
	vars := map[string]string{"name": "e.com/a/b", "version": "1.0+x", "os": "linux", "arch": "amd64", "ext": "aci", "evil": "../../x?y#z", "dots": "..", "odd": "a/b?y#z"}
	for in, want := range map[string]string{
		"https://s/{name}-{version}-{os}-{arch}.{ext}": "https://s/e.com/a/b-1.0+x-linux-amd64.aci",
		"https://s/{version}/x?arch={arch}":            "https://s/1.0+x/x?arch=amd64",
		"https://s/{evil}.{ext}":                       "",
		"https://s/plain":                              "https://s/plain",
		"https://s/{dots}/x":                           "",
		"https://s/{unknown}":                          "",
		"https://s/{name":                              "",
		"https://s/{}":                                 "",
		"ftp://s/{name}":                               "",
		"https://u:p@s/{name}":                         "",
		"/{name}":                                      "",
		"https://s/{odd}.{ext}":                        "https://s/a%2Fb%3Fy%23z.aci",
	} {
		if got, err := render(in, vars); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v; want %q", in, got, err, want)
		}
	}
}

func name(t *testing.T, s string) appc.Name {
	t.Helper()
	n, err := appc.ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestImages(t *testing.T) {
	labels := map[string]string{"os": "linux", "arch": "amd64"}
	tmpl := "https://s/{name}-{version}-{os}-{arch}.{ext}"
	for tname, c := range map[string]struct {
		site  site
		http  bool
		want  []string // image URLs
		asked string
		err   string
	}{
		"at the name": {site{pages: map[string]string{"https://e.com/a/b": meta(tagImages, "e.com "+tmpl)}}, false,
			[]string{"https://s/e.com/a/b-latest-linux-amd64.aci"}, "https://e.com/a/b", ""},
		"at a parent": {site{pages: map[string]string{"https://e.com": meta(tagImages, "e.com/a "+tmpl)}}, false,
			[]string{"https://s/e.com/a/b-latest-linux-amd64.aci"}, "https://e.com/a/b https://e.com/a https://e.com", ""},
		"page without tags, then a parent": {site{pages: map[string]string{"https://e.com/a/b": "<html>", "https://e.com/a": meta(tagImages, "e.com "+tmpl)}}, false,
			[]string{"https://s/e.com/a/b-latest-linux-amd64.aci"}, "https://e.com/a/b https://e.com/a", ""},
		"all endpoints, other prefixes left out": {site{pages: map[string]string{"https://e.com/a/b": meta(tagImages, "e.com https://1/x.{ext}") + meta(tagImages, "f.com https://2/x.{ext}") + meta(tagImages, "e.com/a https://3/x.{ext}")}}, false,
			[]string{"https://1/x.aci", "https://3/x.aci"}, "https://e.com/a/b", ""},
		"template with an unknown label is left out": {site{pages: map[string]string{"https://e.com/a/b": meta(tagImages, "e.com https://1/{channel}.{ext}") + meta(tagImages, "e.com https://2/x.{ext}")}}, false,
			[]string{"https://2/x.aci"}, "https://e.com/a/b", ""},
		"http is not asked": {site{pages: map[string]string{"http://e.com/a/b": meta(tagImages, "e.com "+tmpl)}}, false, nil, "https://e.com/a/b https://e.com/a https://e.com", "https://e.com/a: 404"},
		"http after https":  {site{pages: map[string]string{"http://e.com/a/b": meta(tagImages, "e.com "+tmpl)}}, true, []string{"https://s/e.com/a/b-latest-linux-amd64.aci"}, "https://e.com/a/b http://e.com/a/b", ""},
		"nothing, and why":  {site{pages: map[string]string{"https://e.com": meta(tagImages, "e.com https://1/{channel}")}}, false, nil, "https://e.com/a/b https://e.com/a https://e.com", "{channel}"},
	} {
		t.Run(tname, func(t *testing.T) {
			eps, err := Images(t.Context(), &c.site, name(t, "e.com/a/b"), labels, c.http)
			var got []string
			for _, e := range eps {
				got = append(got, e.Image)
				if e.Signature != e.Image+".asc" {
					t.Errorf("signature at %s", e.Signature)
				}
			}
			if !slices.Equal(got, c.want) || strings.Join(c.site.asked, " ") != c.asked {
				t.Errorf("endpoints %q, asked %q", got, c.site.asked)
			}
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want %q", err, c.err)
			}
		})
	}
}

func TestTheReasonThatHelps(t *testing.T) {
	s := &site{fail: map[string]error{
		"https://e.com/a": fetcher.AuthRequired("get https://e.com/a: 401"),
		"https://e.com":   fetcher.NetworkUnreachable("get https://e.com: 500"),
	}}
	_, err := Images(t.Context(), s, name(t, "e.com/a"), nil, false)
	e, ok := err.(*plugin.Error)
	if !ok || e.Reason != reason.AuthRequired {
		t.Errorf("%#v", err)
	}
}

func TestKeys(t *testing.T) {
	s := &site{pages: map[string]string{"https://e.com": meta(tagKeys, "e.com https://e.com/k1") + meta(tagKeys, "e.com/other https://e.com/k2") + meta(tagImages, "e.com https://e.com/i")}}
	urls, err := Keys(t.Context(), s, name(t, "e.com/a"), false)
	if err != nil || !slices.Equal(urls, []string{"https://e.com/k1"}) {
		t.Errorf("%q, %v", urls, err)
	}
	if urls, err := Keys(t.Context(), s, name(t, "f.com"), false); err == nil {
		t.Errorf("%q", urls)
	}
}

func FuzzParseMeta(f *testing.F) {
	f.Add([]byte(meta(tagImages, "e.com https://e.com/{name}")))
	f.Add([]byte("<html><head><meta"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, x := range parseMeta(b, tagImages) {
			if x.prefix == "" || strings.ContainsAny(x.template, " \t\n") {
				t.Errorf("%+v", x)
			}
		}
	})
}

// FuzzRender: what a label says never changes scheme, host or the number of path elements.
func FuzzRender(f *testing.F) {
	f.Add("1.0")
	f.Add("../..")
	f.Add("x@evil/")
	f.Fuzz(func(t *testing.T, label string) {
		s, err := render("https://host/a/{version}/b.{ext}", map[string]string{"version": label, "ext": "aci"})
		if err != nil {
			return
		}
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "https" || u.Host != "host" || strings.Count(u.EscapedPath(), "/") != 3 || u.RawQuery != "" || u.Fragment != "" {
			t.Errorf("%q: %s", label, s)
		}
	})
}

func FuzzTemplate(f *testing.F) {
	f.Add("https://s/{name}-{version}.{ext}")
	f.Add("{name}{")
	f.Fuzz(func(t *testing.T, s string) {
		if out, err := render(s, map[string]string{"name": "e.com/a", "version": "1", "ext": "aci"}); err == nil && !strings.HasPrefix(strings.ToLower(out), "http") {
			t.Errorf("%q: %q", s, out)
		}
	})
}
