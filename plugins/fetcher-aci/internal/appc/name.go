package appc

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

const maxName = 1024

// portRE is a loopback host with a port at the beginning of a name. The specification knows no ports; on
// loopback they let a test or a developer serve images without being root.
var portRE = regexp.MustCompile(`^(localhost|127(?:\.[0-9]{1,3}){3}):([0-9]{1,5})(/.*)$`)

// Name is what a reference asks for: NAME[:VERSION][,LABEL=VALUE...].
type Name struct {
	Name   string // an AC identifier: what the image calls itself and what trust is asked for
	Port   string // of Name's host, loopback only; "" else
	Labels map[string]string
}

// ParseName reads the part of a reference after aci://.
func ParseName(s string) (Name, error) {
	n := Name{Labels: map[string]string{}}
	if m := portRE.FindStringSubmatch(s); m != nil {
		s, n.Port = m[1]+m[3], m[2]
	}
	head, rest, more := strings.Cut(s, ",")
	name, version, hasVersion := strings.Cut(head, ":")
	if !acIdentifierRE.MatchString(name) || len(name) > maxName {
		return Name{}, fmt.Errorf("%q is no appc name: lower-case letters and digits, joined by - . _ ~ or /", clip(name))
	}
	n.Name = name
	if hasVersion {
		if err := n.set("version", version); err != nil {
			return Name{}, err
		}
	}
	for more {
		var item string
		item, rest, more = strings.Cut(rest, ",")
		k, v, ok := strings.Cut(item, "=")
		if !ok {
			return Name{}, fmt.Errorf("label %q is not LABEL=VALUE", clip(item))
		}
		if err := n.set(k, v); err != nil {
			return Name{}, err
		}
	}
	return n, nil
}

func (n Name) set(k, v string) error {
	v, err := url.PathUnescape(v)
	switch {
	case err != nil:
		return fmt.Errorf("label %s: %w", clip(k), err)
	case !acIdentifierRE.MatchString(k) || k == "name":
		return fmt.Errorf("%q is no name of a label", clip(k))
	case v == "":
		return fmt.Errorf("label %s is empty", k)
	}
	if _, dup := n.Labels[k]; dup {
		return fmt.Errorf("label %s is given twice", k)
	}
	n.Labels[k] = v
	return nil
}

// Host is what discovery connects to.
func (n Name) Host() string {
	host, _, _ := strings.Cut(n.Name, "/")
	if n.Port != "" {
		return host + ":" + n.Port
	}
	return host
}

// Path is the rest of the name behind the host, without a leading slash.
func (n Name) Path() string {
	_, path, _ := strings.Cut(n.Name, "/")
	return path
}

// Match says why m is not the image that n asks for, or nil.
func (n Name) Match(m *Manifest) error {
	if m.Name != n.Name {
		return fmt.Errorf("the image is called %s, asked for was %s", m.Name, n.Name)
	}
	for _, k := range slices.Sorted(maps.Keys(n.Labels)) {
		got, ok := m.Labels.Get(k)
		if !ok {
			return fmt.Errorf("the image has no label %s, asked for was %q", k, n.Labels[k])
		}
		if got != n.Labels[k] {
			return fmt.Errorf("the image has label %s=%q, asked for was %q", k, clip(got), n.Labels[k])
		}
	}
	return nil
}

// Canonical is the full reference of an image: its own name and labels, as rkt files it.
func Canonical(m *Manifest) (string, error) {
	labels := m.Labels.Map()
	var b strings.Builder
	b.WriteString("aci://" + m.Name)
	if v := labels["version"]; v != "" {
		b.WriteString(":" + escape(v))
	}
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		if k != "version" && labels[k] != "" {
			b.WriteString("," + k + "=" + escape(labels[k]))
		}
	}
	if b.Len() > 4*maxName {
		return "", errors.New("its name with all labels is too long")
	}
	return b.String(), nil
}

func escape(v string) string {
	return strings.NewReplacer("%", "%25", ",", "%2C").Replace(v)
}
