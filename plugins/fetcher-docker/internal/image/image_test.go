package image

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/fault"
	"github.com/rkt/rkt/v2/proto/reason"
)

func entry(name string, p *v1.Platform) v1.Descriptor {
	return v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digest.FromString(name), Size: 10, Platform: p}
}

func plat(os, arch, variant string) *v1.Platform {
	return &v1.Platform{OS: os, Architecture: arch, Variant: variant}
}

func TestChoose(t *testing.T) {
	armAll := []v1.Descriptor{
		entry("v5", plat("linux", "arm", "v5")), entry("v7", plat("linux", "arm", "v7")), entry("v6", plat("linux", "arm", "v6")),
		entry("arm64", plat("linux", "arm64", "v8")), entry("amd64", plat("linux", "amd64", "")), entry("windows", plat("windows", "amd64", "")),
		entry("none", plat("unknown", "unknown", "")),
	}
	levels := []v1.Descriptor{entry("v1", plat("linux", "amd64", "")), entry("v3", plat("linux", "amd64", "v3"))}
	silent := []v1.Descriptor{entry("one", nil)}
	attested := append([]v1.Descriptor{{MediaType: v1.MediaTypeImageManifest, Digest: digest.FromString("att"), Size: 1,
		Annotations: map[string]string{"vnd.docker.reference.type": "attestation-manifest"}}}, silent...)
	for _, tt := range []struct {
		name string
		list []v1.Descriptor
		want Platform
		hit  string // "" = none
	}{
		{"amd64", armAll, Platform{"linux", "amd64", ""}, "amd64"},
		{"uname's word", armAll, Platform{"linux", "x86_64", ""}, "amd64"},
		{"arm64", armAll, Platform{"linux", "arm64", ""}, "arm64"},
		{"arm64 newer", armAll, Platform{"linux", "aarch64", "v9"}, "arm64"},
		{"arm means v7", armAll, Platform{"linux", "arm", ""}, "v7"},
		{"arm v7", armAll, Platform{"linux", "arm", "v7"}, "v7"},
		{"arm 7", armAll, Platform{"linux", "arm", "7"}, "v7"},
		{"arm v6", armAll, Platform{"linux", "arm", "v6"}, "v6"},
		{"arm v8 runs v7", armAll, Platform{"linux", "arm", "v8"}, "v7"},
		{"arm v4 runs none", armAll, Platform{"linux", "arm", "v4"}, ""},
		{"v6 does not run v7", armAll[1:2], Platform{"linux", "arm", "v6"}, ""},
		{"arm64 is not arm", armAll[:3], Platform{"linux", "arm64", ""}, ""},
		{"plain amd64 does not run v3", levels, Platform{"linux", "amd64", ""}, "v1"},
		{"v3", levels, Platform{"linux", "amd64", "v3"}, "v3"},
		{"v4 runs v3", levels, Platform{"linux", "amd64", "v4"}, "v3"},
		{"v2 runs v1", levels, Platform{"linux", "amd64", "v2"}, "v1"},
		{"only one, silent", silent, Platform{"linux", "amd64", ""}, "one"},
		{"attestation is no image", attested, Platform{"linux", "amd64", ""}, "one"},
		{"two silent", append(silent, entry("two", nil)), Platform{"linux", "amd64", ""}, ""},
		{"empty", nil, Platform{"linux", "amd64", ""}, ""},
		{"other", armAll, Platform{"linux", "riscv64", ""}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, err := Choose(&v1.Index{Manifests: tt.list}, tt.want)
			if tt.hit == "" {
				if fault.ReasonOf(err) != reason.ImageNotFound {
					t.Errorf("%v, %v", d, err)
				}
				return
			}
			if err != nil || d.Digest != digest.FromString(tt.hit) {
				t.Errorf("%v, %v", d.Platform, err)
			}
		})
	}
}

func TestCheckConfig(t *testing.T) {
	want := Platform{"linux", "amd64", ""}
	for config, ok := range map[string]bool{
		`{"os":"linux","architecture":"amd64"}`:              true,
		`{"architecture":"amd64"}`:                           true,
		`{}`:                                                 true,
		`{"os":"linux","architecture":"arm64"}`:              false,
		`{"os":"windows","architecture":"amd64"}`:            false,
		`{"os":"linux","architecture":"\u001b[31mevil\n\n"}`: false,
		`{`: false,
	} {
		err := CheckConfig([]byte(config), want)
		if (err == nil) != ok {
			t.Errorf("%s: %v", config, err)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("%s: %q", config, err)
		}
	}
}

// TestNesting: an index that holds itself ends.
func TestNesting(t *testing.T) {
	idx := v1.Index{MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{{MediaType: v1.MediaTypeImageIndex, Digest: digest.FromString("x"), Size: 1}}}
	b, _ := json.Marshal(idx)
	_, err := Resolve(t.Context(), v1.Descriptor{}, b, Platform{"linux", "amd64", ""}, func(context.Context, v1.Descriptor) ([]byte, error) { return b, nil })
	if fault.ReasonOf(err) != reason.ImageInvalid {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(v1.MediaTypeImageManifest, []byte(`{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":2},"layers":[]}`))
	f.Add("", []byte(`{"manifests":[{"digest":"sha256:../..","size":-1}]}`))
	f.Add(DockerList, []byte(`{"manifests":[{"platform":{"os":"linux","architecture":"arm","variant":"v999999999999"}}]}`))
	f.Fuzz(func(t *testing.T, mediaType string, b []byte) {
		d, err := Parse(mediaType, b)
		if err != nil {
			if fault.ReasonOf(err) == "" {
				t.Fatalf("%v has no reason", err)
			}
			return
		}
		if (d.Index == nil) == (d.Manifest == nil) {
			t.Fatal("both or none")
		}
		if d.Index != nil {
			for _, p := range []Platform{{"linux", "amd64", ""}, {"linux", "arm", "v7"}} {
				if got, err := Choose(d.Index, p); err == nil && CheckDescriptor(got) != nil {
					t.Fatalf("chosen: %v", got)
				}
			}
			return
		}
		for _, l := range Blobs(d.Manifest) {
			if CheckDescriptor(l) != nil {
				t.Fatalf("let through: %v", l)
			}
		}
	})
}
