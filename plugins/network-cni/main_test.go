package main

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/rkt/rkt/v2/plugins/network-cni/internal/attach"
	"github.com/rkt/rkt/v2/sdk/network"
)

// TestManifest holds plugin.json to what the binary prints: `go run . manifest > plugin.json` renews it.
func TestManifest(t *testing.T) {
	want, err := os.ReadFile("plugin.json")
	if err != nil {
		t.Fatal(err)
	}
	m := network.Manifest(info(), attach.New())
	if m.Exec == "" {
		m.Exec = "rkt-" + m.Name
	}
	got, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, want); err != nil {
		t.Fatal(err)
	}
	if compact.String() != string(got) {
		t.Errorf("the binary says\n%s\nplugin.json says\n%s", got, compact.String())
	}
}
