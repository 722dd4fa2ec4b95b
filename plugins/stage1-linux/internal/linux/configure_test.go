package linux

import (
	"strings"
	"testing"

	"github.com/rkt/rkt/v2/sdk/plugin"
)

// A file for a flavor without settings is somebody's mistake, and is not taken in silence.
func TestConfigure(t *testing.T) {
	s := &Stage1{}
	if _, err := s.Configure(t.Context(), plugin.Config{CacheDir: "/c"}); err != nil || s.cacheDir != "/c" {
		t.Errorf("%q, %v", s.cacheDir, err)
	}
	if _, err := s.Configure(t.Context(), plugin.Config{JSON: []byte(`{"memory":1}`)}); err == nil || !strings.Contains(err.Error(), "no configuration") {
		t.Error(err)
	}
}
