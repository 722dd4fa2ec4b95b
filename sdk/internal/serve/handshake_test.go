package serve

import (
	"testing"

	"github.com/rkt/rkt/v2/proto/manifest"
)

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		ours    [][]uint32 // of each service
		offered string
		want    int
	}{
		{[][]uint32{{1}}, "1", 1},
		{[][]uint32{{1, 2}}, "1", 1},
		{[][]uint32{{1, 2}}, "1,2", 2},
		{[][]uint32{{2, 1}}, "2,1", 2},
		{[][]uint32{{1, 2}}, "1,2,3", 2},
		{[][]uint32{{2}}, "1", 2}, // core refuses it, with both numbers
		{[][]uint32{{1}}, "2,3", 1},
		{[][]uint32{{1, 2}, {1}}, "1", 1}, // core wants the service that has 1 alone
		{[][]uint32{{1}}, "", 1},          // started by an older core, or by hand
		{[][]uint32{{1, 2}}, "1,zwei,4294967297,-2", 1},
		{nil, "1", 0},
	} {
		m := &manifest.Manifest{}
		for _, p := range c.ours {
			m.Provides = append(m.Provides, manifest.Provision{Protocols: p})
		}
		if got := choose(m, c.offered); got != c.want {
			t.Errorf("choose(%v, %q) = %d, want %d", c.ours, c.offered, got, c.want)
		}
	}
}
