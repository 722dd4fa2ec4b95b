package main

import (
	"strings"
	"testing"

	"github.com/rkt/rkt/v2/core/config"
)

// Every variable that the configuration asks for is in the page.
func TestEnvironmentTopic(t *testing.T) {
	page, asked := environmentTopic().Long, 0
	_, err := config.Load(config.Flags{SystemConfig: t.TempDir(), LocalConfig: t.TempDir()}, func(name string) string {
		asked++
		if !strings.Contains(page, "  "+name+" ") {
			t.Errorf("rkt help environment says nothing of %s", name)
		}
		return ""
	})
	if err != nil || asked == 0 {
		t.Error(asked, err)
	}
}
