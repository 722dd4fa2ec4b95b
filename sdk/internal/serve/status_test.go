package serve

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/reason"
)

// Who writes a plugin in another language has the page alone, so its table and its names are held to the code.
const page = "../../../docs/plugins-other-languages.md"

func TestPageHasTheReasons(t *testing.T) {
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| ((?:`[A-Z_]+` ?)+)\\| ([A-Z_]+) (\\d+) \\|$")
	said := map[reason.Reason]bool{}
	for _, m := range row.FindAllStringSubmatch(string(b), -1) {
		for _, word := range strings.Fields(strings.ReplaceAll(m[1], "`", "")) {
			r := reason.Reason(word)
			said[r] = true
			if n, _ := strconv.Atoi(m[3]); code(r) != codes.Code(n) {
				t.Errorf("%s is %d there and %d in the code", r, n, code(r))
			}
			var byName codes.Code
			if err := byName.UnmarshalJSON([]byte(strconv.Quote(m[2]))); err != nil || byName != code(r) {
				t.Errorf("%s is %s there and %v in the code", r, m[2], code(r))
			}
		}
	}
	for _, r := range sent(t) {
		if !said[r] {
			t.Errorf("%s is not there", r)
		}
	}
	for _, word := range []string{launch.CookieKey, launch.CookieValue, launch.EnvFDs, launch.EnvProtocols, launch.EnvSocketDir,
		launch.FDLock, launch.FDNetns, launch.FDSource, launch.FDSignature} {
		if !strings.Contains(string(b), "`"+word+"`") {
			t.Errorf("%q is not there", word)
		}
	}
}

// sent are the reasons that plugins send: those that proto/reason declares above "Made by core", less the two verdicts
// that core makes of a verifier's.
func sent(t *testing.T) []reason.Reason {
	t.Helper()
	b, err := os.ReadFile("../../../proto/reason/reason.go")
	if err != nil {
		t.Fatal(err)
	}
	own, _, found := strings.Cut(string(b), "// Made by core")
	if !found {
		t.Fatal("reason.go has no part that core makes")
	}
	var out []reason.Reason
	for _, m := range regexp.MustCompile(`= "([A-Z_]+)"`).FindAllStringSubmatch(own, -1) {
		if r := reason.Reason(m[1]); r != reason.SignatureRejected && r != reason.TrustMissing {
			out = append(out, r)
		}
	}
	if len(out) < 20 {
		t.Fatalf("only %d reasons in reason.go", len(out))
	}
	return out
}
