package discovery

import (
	"bytes"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

const (
	tagImages = "ac-discovery"
	tagKeys   = "ac-discovery-pubkeys"
	maxTags   = 64 // of one page; the first rkt's users had one to three
)

// tag is one meta tag: a prefix of names and a template.
type tag struct{ prefix, template string }

// parseMeta finds the tags of one kind in a page, in order. What is not one is passed over: pages are written
// for browsers.
func parseMeta(page []byte, kind string) []tag {
	var tags []tag
	z := html.NewTokenizer(bytes.NewReader(page))
	for len(tags) < maxTags {
		switch z.Next() {
		case html.ErrorToken:
			return tags
		case html.StartTagToken, html.SelfClosingTagToken:
			t := z.Token()
			if t.DataAtom == atom.Body {
				return tags // a comment field of the page's users is not its head
			}
			if t.DataAtom != atom.Meta {
				continue
			}
			var name, content string
			for _, a := range t.Attr {
				switch a.Key {
				case "name":
					name = a.Val
				case "content":
					content = a.Val
				}
			}
			if f := strings.Fields(content); name == kind && len(f) == 2 {
				tags = append(tags, tag{f[0], f[1]})
			}
		}
	}
	return tags
}
