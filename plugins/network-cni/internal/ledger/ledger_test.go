package ledger

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

func open(t *testing.T) *Dir {
	t.Helper()
	d, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestRecord(t *testing.T) {
	d := open(t)
	r := &Record{
		Pod: "a", StateDir: "/x", Ports: []Port{{Protocol: "tcp", HostPort: 1, PodPort: 2, HostIP: netip.MustParseAddr("::1")}},
		Attachments: []Attachment{{
			Network: "default", IfName: "eth0", Config: []byte(`{}`), Args: map[string]string{"IP": "x"},
			Link: &Link{HostIf: "rkt-a", IP4: netip.MustParseAddr("10.0.0.2"), Subnet4: netip.MustParsePrefix("10.0.0.0/24")},
		}},
	}
	if err := d.Save(r); err != nil {
		t.Fatal(err)
	}
	got, err := d.Load("a")
	if err != nil || !reflect.DeepEqual(got, r) || !d.Current(got) {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, name := range []string{"", "..", "a/b", "-"} {
		if _, err := d.Load(name); err == nil {
			t.Errorf("loaded %q", name)
		}
	}
	if got, err := d.Load("b"); got != nil || err != nil {
		t.Errorf("a pod without record: %v, %v", got, err)
	}
	if err := os.WriteFile(filepath.Join(d.path, "pods/torn"), []byte(`{"ver`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Load("torn"); !errors.Is(err, ErrTorn) {
		t.Errorf("torn: %v", err)
	}
	gone := &Record{Pod: "c", Gone: true}
	if err := d.Save(gone); err != nil {
		t.Fatal(err)
	}
	if all, err := d.Records(); err != nil || len(all) != 1 || all[0].Pod != "a" {
		t.Errorf("records: %v, %v", all, err)
	}
	for range 2 {
		if err := d.Remove("a"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestClaims(t *testing.T) {
	d := open(t)
	p := func(ip string) Port {
		p := Port{Protocol: "tcp", HostPort: 80, PodPort: 8080}
		if ip != "" {
			p.HostIP = netip.MustParseAddr(ip)
		}
		return p
	}
	for _, step := range []struct{ ip, pod, taken string }{
		{"192.0.2.1", "a", ""},
		{"192.0.2.1", "a", ""},
		{"192.0.2.2", "b", ""},
		{"192.0.2.1", "b", "a"},
		{"", "c", "a"},
		{"0.0.0.0", "c", "a"},
		{"::", "c", ""},
		{"::1", "d", "c"},
		{"", "a", "b"},
	} {
		err := d.Claim(p(step.ip), step.pod)
		taken := new(TakenError)
		if errors.As(err, &taken); err != nil && taken.Pod == "" || taken.Pod != step.taken {
			t.Errorf("%+v: %v", step, err)
		}
	}
	for _, pod := range []string{"a", "b", "a"} {
		if err := d.Unclaim(p(""), pod); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.SweepClaims(func(pod string) bool { return pod != "c" }); err != nil {
		t.Fatal(err)
	}
	if left, _ := d.names("ports"); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

func FuzzParseClaims(f *testing.F) {
	f.Add([]byte("* a b\n::1 c d\n"))
	f.Add([]byte("x\n* a\n\x00"))
	f.Fuzz(func(_ *testing.T, b []byte) { parseClaims(b) })
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add([]byte(`{"version":1,"pod":"a","attachments":[{"link":{"ip4":"10.0.0.1","subnet4":"10.0.0.0/8"}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := decodeRecord("a", b); err == nil && (r.Pod != "a" || r.Version != RecordVersion) {
			t.Fatalf("let %+v through", r)
		}
	})
}

func TestLockWaitsForContext(t *testing.T) {
	d := open(t)
	unlock, err := d.Lock(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := d.Lock(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("second lock: %v", err)
	}
	unlock()
	unlock, err = d.Lock(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}
