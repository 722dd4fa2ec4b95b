package attach

import (
	"context"
	"os/exec"
	"strings"
	"testing"
)

func TestProbe(t *testing.T) {
	s := newSite(t)
	nft, err := exec.LookPath("nft")
	if err != nil {
		t.Skip("needs nft to make a foreign table")
	}
	before := s.snapshot(t)
	probe := func() map[string]string {
		all, err := s.Probe(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, f := range all {
			if f.OK != (f.Remedy == "") {
				t.Errorf("finding %+v: a remedy belongs to what is not ok", f)
			}
			got[f.ID] = f.Remedy
		}
		return got
	}
	if got := probe(); got["nftables"] != "" || got["forward-filter"] != "" {
		t.Errorf("a fresh host: %q", got)
	}
	s.unchanged(t, before)
	run(t, exec.Command(nft, "add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }; add chain ip filter DOCKER-USER"))
	defer run(t, exec.Command(nft, "delete table ip filter"))
	if got := probe()["forward-filter"]; !strings.Contains(got, "iptables -I DOCKER-USER") {
		t.Errorf("docker's policy: %q", got)
	}
}
