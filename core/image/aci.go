package image

import (
	"errors"
	"fmt"
	"maps"
	"net/url"

	"slices"
	"strings"

	"github.com/rkt/rkt/v2/core/internal/pattern"
)

// appc's ACIdentifier, for names and label names (spec/types.md, schema 0.8).
var (
	acIdentifierRE = pattern.New(`^[a-z0-9]+(?:[-._~/][a-z0-9]+)*$`)
	labelNameRE    = pattern.New(`^[a-z0-9]+(?:[-._~/][a-z0-9]+)*$`)
)

// VersionLabel is the label that NAME:VERSION stands for.
const VersionLabel = "version"

// ACIName is an App Container image's name with the labels asked for.
type ACIName struct {
	Name   string
	Labels map[string]string
}

// ParseACI reads NAME[:VERSION][,LABEL=VALUE...]. A value is URL-escaped when it holds a comma or a percent.
func ParseACI(s string) (ACIName, error) {
	a := ACIName{Labels: map[string]string{}}
	head, labels, more := strings.Cut(s, ",")
	name, version, hasVersion := strings.Cut(head, ":")
	if !acIdentifierRE.MatchString(name) {
		return a, fmt.Errorf("%q is no appc name: lower-case letters and digits, joined by - . _ ~ or /", shorten(name))
	}
	a.Name = name
	if hasVersion {
		if err := a.set(VersionLabel, version); err != nil {
			return a, err
		}
	}
	for more {
		var item string
		item, labels, more = strings.Cut(labels, ",")
		key, value, ok := strings.Cut(item, "=")
		if !ok {
			return a, fmt.Errorf("label %q is not LABEL=VALUE", shorten(item))
		}
		if err := a.set(key, value); err != nil {
			return a, err
		}
	}
	return a, nil
}

func (a ACIName) set(key, value string) error {
	if !labelNameRE.MatchString(key) || key == "name" {
		return fmt.Errorf("%q is no label name", shorten(key))
	}
	if _, dup := a.Labels[key]; dup {
		return fmt.Errorf("label %q is given twice", key)
	}
	v, err := url.PathUnescape(value)
	if err != nil || v == "" {
		return fmt.Errorf("value %q of label %s is empty or badly escaped", shorten(value), key)
	}
	if err := checkText(v); err != nil {
		return fmt.Errorf("label %s: %w", key, err)
	}
	a.Labels[key] = v
	return nil
}

// String is the normal form: the version behind the colon, the other labels sorted.
func (a ACIName) String() string {
	var b strings.Builder
	b.WriteString(a.Name)
	if v, ok := a.Labels[VersionLabel]; ok {
		b.WriteString(":" + escapeLabel(v))
	}
	for _, k := range slices.Sorted(maps.Keys(a.Labels)) {
		if k != VersionLabel {
			b.WriteString("," + k + "=" + escapeLabel(a.Labels[k]))
		}
	}
	return b.String()
}

// Match says whether an image of this name with these labels is one that a asks for.
func (a ACIName) Match(name string, labels map[string]string) bool {
	if a.Name != name {
		return false
	}
	for k, v := range a.Labels {
		if labels[k] != v {
			return false
		}
	}
	return true
}

func escapeLabel(v string) string {
	return strings.NewReplacer("%", "%25", ",", "%2C").Replace(v)
}

func normalACI(s string) (string, error) {
	a, err := ParseACI(s)
	if err != nil {
		return "", err
	}
	if len(a.Name) > 1024 {
		return "", errors.New("the name has more than 1024 characters")
	}
	return a.String(), nil
}
