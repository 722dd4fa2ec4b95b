package image

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/fault"
	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// Platform is what an image must run on.
type Platform struct {
	OS, Architecture, Variant string
}

func (p Platform) String() string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// normal brings uname's and Debian's words into Go's, and fills in the variant that an empty one stands for.
func (p Platform) normal() Platform {
	p.OS, p.Architecture = strings.ToLower(p.OS), strings.ToLower(p.Architecture)
	p.Variant = strings.ToLower(p.Variant)
	switch p.Architecture {
	case "x86_64", "x86-64":
		p.Architecture = "amd64"
	case "i386", "i486", "i586", "i686":
		p.Architecture = "386"
	case "aarch64":
		p.Architecture = "arm64"
	case "armhf":
		p.Architecture, p.Variant = "arm", "v7"
	case "armel":
		p.Architecture, p.Variant = "arm", "v6"
	}
	if p.Variant != "" && p.Variant[0] >= '0' && p.Variant[0] <= '9' {
		p.Variant = "v" + p.Variant
	}
	if p.Variant == "" {
		switch p.Architecture {
		case "amd64":
			p.Variant = "v1"
		case "arm":
			p.Variant = "v7"
		case "arm64":
			p.Variant = "v8"
		}
	}
	return p
}

// distance says how well have runs on want: 0 is exact, more is older, -1 is not at all. A processor of variant
// N runs what was built for smaller N; that holds for amd64's levels, for arm and for arm64 alike.
func distance(want, have Platform) int {
	want, have = want.normal(), have.normal()
	if want.OS != have.OS || want.Architecture != have.Architecture {
		return -1
	}
	if want.Variant == have.Variant {
		return 0
	}
	switch want.Architecture {
	case "amd64", "arm", "arm64":
		w, werr := level(want.Variant)
		h, herr := level(have.Variant)
		if werr != nil || herr != nil || h > w {
			return -1
		}
		return w - h
	}
	if have.Variant == "" {
		return 1
	}
	return -1
}

// level turns "v7" into 700 and "v8.2" into 802.
func level(variant string) (int, error) {
	major, minor, _ := strings.Cut(strings.TrimPrefix(variant, "v"), ".")
	n, err := strconv.ParseUint(major, 10, 8)
	if err != nil || minor == "" {
		return int(n) * 100, err
	}
	m, err := strconv.ParseUint(minor, 10, 6)
	return int(n)*100 + int(m), err
}

// Choose picks the entry of an index for the platform: the closest, and of equals the first. An entry that says
// nothing of its platform is taken only when it is the only one that could be meant; its config is checked later.
func Choose(idx *v1.Index, want Platform) (v1.Descriptor, error) {
	best, bestAt := v1.Descriptor{}, -1
	var silent []v1.Descriptor
	var have []string
	for _, d := range idx.Manifests {
		switch {
		case d.Annotations["vnd.docker.reference.type"] != "": // buildkit's attestations
		case d.Platform == nil || d.Platform.OS == "" && d.Platform.Architecture == "":
			silent = append(silent, d)
		case d.Platform.OS == "unknown":
		default:
			p := Platform{d.Platform.OS, d.Platform.Architecture, d.Platform.Variant}
			have = append(have, p.String())
			if n := distance(want, p); n >= 0 && (bestAt < 0 || n < bestAt) {
				best, bestAt = d, n
			}
		}
	}
	if bestAt < 0 && len(silent) == 1 {
		best, bestAt = silent[0], 0
	}
	if bestAt < 0 {
		return best, plugin.Errorf(reason.ImageNotFound, "choose platform: there is none for %s; the index has %s", want, listed(have, len(silent)))
	}
	return best, CheckDescriptor(best)
}

func listed(have []string, silent int) string {
	const most = 12
	slices.Sort(have)
	have = slices.Compact(have)
	more := len(have) - most
	if more > 0 {
		have = have[:most]
	}
	for i := range have {
		have[i] = strings.Trim(fault.Quote(have[i]), `"`)
	}
	s := strings.Join(have, ", ")
	if more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	if silent > 0 {
		s += fmt.Sprintf(" and %d entries without a platform", silent)
	}
	if s == "" {
		return "no images"
	}
	return s
}

// CheckConfig refuses the config of an image that was made for another platform. A config that says nothing
// passes.
func CheckConfig(config []byte, want Platform) error {
	var c struct {
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
		Variant      string `json:"variant"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return plugin.Errorf(reason.ImageInvalid, "parse config: %w", err)
	}
	have, want := Platform{c.OS, c.Architecture, ""}, Platform{want.OS, want.Architecture, ""}
	if c.OS != "" && c.Architecture != "" && want.OS != "" && distance(want, have) < 0 {
		return plugin.Errorf(reason.ImageNotFound, "check platform: the image is for %s, asked for is %s",
			strings.Trim(fault.Quote(have.String()), `"`), want)
	}
	return nil
}
