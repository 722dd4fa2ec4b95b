package discovery

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/rkt/rkt/v2/plugins/fetcher-aci/internal/appc"
	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/fetcher"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

const (
	maxPage  = 1 << 20
	maxPages = 32 // components of a name that are asked for
)

// Getter asks one URL; the transfer client is one.
type Getter interface {
	Get(ctx context.Context, url string, limit int64, later bool) (body []byte, status int, err error)
}

// Endpoint is one place where the image may lie.
type Endpoint struct {
	Image     string // URL
	Signature string // URL
}

// Images asks for the endpoints of a name. ext is what {ext} stands for in the image's URL ("aci"); the
// signature's is that with ".asc". labels are the reference's with the platform's.
func Images(ctx context.Context, g Getter, n appc.Name, labels map[string]string, allowHTTP bool) ([]Endpoint, error) {
	vars := map[string]string{"version": "latest"}
	for k, v := range labels {
		vars[k] = v
	}
	vars["name"] = n.Name
	w := &walk{get: g, allowHTTP: allowHTTP}
	var eps []Endpoint
	err := w.pages(ctx, n, func(page []byte) bool {
		for _, t := range matching(parseMeta(page, tagImages), n.Name) {
			var e Endpoint
			var err error
			vars["ext"] = "aci"
			if e.Image, err = render(t.template, vars); err != nil {
				w.note(err) // the next template may need less
				continue
			}
			vars["ext"] = "aci.asc"
			if e.Signature, err = render(t.template, vars); err == nil {
				eps = append(eps, e)
			}
		}
		return len(eps) > 0
	})
	if err != nil {
		return nil, err
	}
	if len(eps) == 0 {
		return nil, w.failed(fmt.Sprintf("find image %s by appc discovery", n.Name))
	}
	return eps, nil
}

// Keys asks for the URLs of public keys for a prefix.
func Keys(ctx context.Context, g Getter, prefix appc.Name, allowHTTP bool) ([]string, error) {
	w := &walk{get: g, allowHTTP: allowHTTP}
	var urls []string
	err := w.pages(ctx, prefix, func(page []byte) bool {
		for _, t := range matching(parseMeta(page, tagKeys), prefix.Name) {
			u, err := render(t.template, nil)
			if err != nil {
				w.note(err)
				continue
			}
			urls = append(urls, u)
		}
		return len(urls) > 0
	})
	if err != nil {
		return nil, err
	}
	if len(urls) == 0 {
		return nil, w.failed(fmt.Sprintf("find public keys for %s by appc discovery", prefix.Name))
	}
	return urls, nil
}

// matching keeps the tags that are about name. The specification compares strings and not path elements.
func matching(tags []tag, name string) []tag {
	var out []tag
	for _, t := range tags {
		if strings.HasPrefix(name, t.prefix) {
			out = append(out, t)
		}
	}
	return out
}

// walk remembers what was tried, for the error.
type walk struct {
	get       Getter
	allowHTTP bool
	tried     []string
	worst     reason.Reason // of all tries: what the caller can do something about
}

func (w *walk) note(err error) {
	if len(w.tried) < 2*maxPages {
		w.tried = append(w.tried, err.Error())
	}
	var e *plugin.Error
	if errors.As(err, &e) && rank(e.Reason) > rank(w.worst) {
		w.worst = e.Reason
	}
}

// rank: a missing credential says more than that a page was not there.
func rank(r reason.Reason) int {
	switch r {
	case reason.AuthRequired, reason.AuthDenied:
		return 4
	case reason.InsecureRefused:
		return 3
	case reason.RegistryThrottled:
		return 2
	case reason.NetworkUnreachable:
		return 1
	}
	return 0
}

func (w *walk) failed(what string) error {
	r := w.worst
	if r == "" {
		r = reason.ImageNotFound
	}
	if !w.allowHTTP {
		w.tried = append(w.tried, "plain http was not tried; allow it with --insecure-options=http")
	}
	return plugin.Errorf(r, "%s: nothing found; tried:\n  %s", what, strings.Join(w.tried, "\n  "))
}

// pages asks for the page of the name, then of its parents, until found says enough. At each step https comes
// first, and http only where the caller allows it.
func (w *walk) pages(ctx context.Context, n appc.Name, found func(page []byte) bool) error {
	schemes := []string{"https"}
	if w.allowHTTP {
		schemes = append(schemes, "http")
	}
	path := n.Path()
	if strings.Count(path, "/") >= maxPages {
		return fetcher.ReferenceInvalid("the name has more than %d components", maxPages)
	}
	dead := map[string]bool{} // schemes on which nobody listens; asking for each parent would only take time
	for {
		for _, scheme := range schemes {
			if dead[scheme] {
				continue
			}
			u := scheme + "://" + n.Host()
			if path != "" {
				u += "/" + path
			}
			u += "?ac-discovery=1"
			page, _, err := w.get.Get(ctx, u, maxPage, false)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err != nil {
				w.note(err)
				var op *net.OpError
				dead[scheme] = errors.As(err, &op) && op.Op == "dial"
				continue
			}
			if found(page) {
				return nil
			}
			w.tried = append(w.tried, "get "+u+": no meta tag for the name")
		}
		if path == "" {
			return nil
		}
		i := strings.LastIndexByte(path, '/')
		path = path[:max(i, 0)]
	}
}
