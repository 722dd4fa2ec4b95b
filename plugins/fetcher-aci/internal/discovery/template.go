package discovery

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// render fills {name}, {ext} and labels into a template. A value cannot change what the template says about
// the server: it is escaped, but for the slashes of the name.
func render(template string, vars map[string]string) (string, error) {
	var b strings.Builder
	for rest := template; ; {
		before, after, ok := strings.Cut(rest, "{")
		b.WriteString(before)
		if !ok {
			break
		}
		name, tail, ok := strings.Cut(after, "}")
		if !ok {
			return "", fmt.Errorf("template %q: a brace is not closed", clip(template))
		}
		v, ok := vars[name]
		if !ok {
			return "", fmt.Errorf("template %q: nothing is known for {%s}", clip(template), clip(name))
		}
		if name == "name" {
			b.WriteString(v) // an AC identifier: nothing in it needs escaping
		} else {
			b.WriteString(url.PathEscape(v))
		}
		rest = tail
	}
	u, err := url.Parse(b.String())
	if err != nil {
		return "", fmt.Errorf("template %q: %w", clip(template), errors.Unwrap(err))
	}
	if u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return "", fmt.Errorf("template %q: it makes no https URL", clip(template))
	}
	for c := range strings.SplitSeq(u.Path, "/") {
		if c == ".." || c == "." {
			return "", fmt.Errorf("template %q: a label leads out of its path", clip(template))
		}
	}
	return u.String(), nil
}

func clip(s string) string {
	if len(s) > 160 {
		return s[:160] + "..."
	}
	return s
}
