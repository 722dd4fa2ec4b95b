package attach

import (
	"context"
	"testing"
	"time"
)

// BenchmarkDefault sets a pod up on the default network and tears it down.
func BenchmarkDefault(b *testing.B) {
	b.Run("first pod", func(b *testing.B) { upDown(b, newSite(b)) })
	b.Run("another pod is there", func(b *testing.B) {
		s := newSite(b)
		s.up(b, nil)
		upDown(b, s)
	})
}

func upDown(b *testing.B, s *site) {
	var up, down time.Duration
	for b.Loop() {
		b.StopTimer()
		p := s.newPod(b)
		b.StartTimer()
		t0 := time.Now()
		if _, err := s.Setup(context.Background(), p.request(nil, "default")); err != nil {
			b.Fatal(err)
		}
		t1 := time.Now()
		if err := s.Teardown(context.Background(), p.Pod); err != nil {
			b.Fatal(err)
		}
		up, down = up+t1.Sub(t0), down+time.Since(t1)
	}
	report(b, "ms/setup", up)
	report(b, "ms/teardown", down)
}

// BenchmarkProcess is the same in processes of their own, from their start to their end: closing the connection to nftables
// may wait for the kernel. "nothing" is a process that does neither.
func BenchmarkProcess(b *testing.B) {
	s := newSite(b)
	var idle, up, down time.Duration
	for b.Loop() {
		b.StopTimer()
		p := s.newPod(b)
		req := p.request(nil, "default")
		t := time.Now()
		run(b, s.command(b, "", req, nil))
		idle += time.Since(t)
		b.StartTimer()
		t0 := time.Now()
		run(b, s.command(b, "setup", req, p.ns))
		t1 := time.Now()
		run(b, s.command(b, "teardown", req, p.ns))
		up, down = up+t1.Sub(t0), down+time.Since(t1)
	}
	report(b, "ms/nothing", idle)
	report(b, "ms/setup", up)
	report(b, "ms/teardown", down)
}

func report(b *testing.B, unit string, d time.Duration) {
	b.ReportMetric(float64(d.Microseconds())/float64(b.N)/1000, unit)
}
