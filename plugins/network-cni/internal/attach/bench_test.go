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
	b.ReportMetric(float64(up.Microseconds())/float64(b.N)/1000, "ms/setup")
	b.ReportMetric(float64(down.Microseconds())/float64(b.N)/1000, "ms/teardown")
}

// BenchmarkProcess is the same in processes of their own, from their start to their end: closing the connection to nftables
// may wait for the kernel.
func BenchmarkProcess(b *testing.B) {
	s := newSite(b)
	var up, down time.Duration
	for b.Loop() {
		b.StopTimer()
		p := s.newPod(b)
		b.StartTimer()
		req := p.request(nil, "default")
		t0 := time.Now()
		run(b, s.command(b, "setup", req, p.ns))
		t1 := time.Now()
		run(b, s.command(b, "teardown", req, p.ns))
		up, down = up+t1.Sub(t0), down+time.Since(t1)
	}
	b.ReportMetric(float64(up.Microseconds())/float64(b.N)/1000, "ms/setup")
	b.ReportMetric(float64(down.Microseconds())/float64(b.N)/1000, "ms/teardown")
}
