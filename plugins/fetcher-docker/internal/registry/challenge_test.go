package registry

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseChallenges(t *testing.T) {
	type params = map[string]string
	for _, tt := range []struct {
		in   []string
		want []challenge
	}{
		{[]string{`Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/x:pull"`},
			[]challenge{{"bearer", params{"realm": "https://auth.docker.io/token", "service": "registry.docker.io", "scope": "repository:library/x:pull"}}}},
		{[]string{`Basic realm="a \"b\" c"`}, []challenge{{"basic", params{"realm": `a "b" c`}}}},
		{[]string{`BEARER Realm = "x" , service=y`}, []challenge{{"bearer", params{"realm": "x", "service": "y"}}}},
		{[]string{`Negotiate, Basic realm="x"`}, []challenge{{"negotiate", params{}}, {"basic", params{"realm": "x"}}}},
		{[]string{`Bearer realm="x", Basic realm="y"`}, []challenge{{"bearer", params{"realm": "x"}}, {"basic", params{"realm": "y"}}}},
		{[]string{`Bearer realm=https://r/token,service=s`}, []challenge{{"bearer", params{"realm": "https://r/token", "service": "s"}}}},
		{[]string{`Bearer realm="x",realm="evil"`}, []challenge{{"bearer", params{"realm": "x"}}}},
		{[]string{`Basic realm="x"`, `Bearer realm="y"`}, []challenge{{"basic", params{"realm": "x"}}, {"bearer", params{"realm": "y"}}}},
		{[]string{`Bearer realm="never ends`}, []challenge{{"bearer", params{}}}},
		{[]string{``, `,,,`, `"`, `=`}, nil},
	} {
		if got := parseChallenges(tt.in); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%q: %v, want %v", tt.in, got, tt.want)
		}
	}
}

func FuzzParseChallenges(f *testing.F) {
	f.Add(`Bearer realm="https://auth.docker.io/token",service="x\"y",scope=a`)
	f.Add(`Negotiate abc==, Basic realm="x"`)
	f.Add(`Bearer realm=`)
	f.Add(`a/b,`)
	f.Fuzz(func(t *testing.T, s string) {
		got := parseChallenges([]string{s, s})
		if len(got) > maxChallenges {
			t.Errorf("%d challenges", len(got))
		}
		for _, c := range got {
			if c.scheme == "" || c.scheme != strings.ToLower(c.scheme) || len(c.params) > maxParams {
				t.Errorf("%q: %v", s, c)
			}
		}
	})
}

func TestContentRange(t *testing.T) {
	for in, want := range map[string][2]int64{"bytes 10-19/20": {10, 20}, "bytes 0-0/1": {0, 1}} {
		if start, total, ok := contentRange(in); !ok || start != want[0] || total != want[1] {
			t.Errorf("%q: %d/%d, %v", in, start, total, ok)
		}
	}
	for _, in := range []string{"", "bytes", "bytes */20", "bytes 1-2/*", "items 1-2/3", "bytes -1-2/3"} {
		if _, _, ok := contentRange(in); ok {
			t.Errorf("%q was taken", in)
		}
	}
}
