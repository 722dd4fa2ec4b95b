package main

import (
	"testing"
)

func TestExitStatus(t *testing.T) {
	layer := busybox(t)
	for _, tc := range []struct {
		name, script string
		code         int
	}{
		{"true", "true", 0},
		{"false", "false", 1},
		{"status", "exit 42", 42},
		{"signal", "kill -9 $$", 137},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPod(t, app("a", layer, tc.script)).start()
			if code := p.wait(); code != tc.code {
				t.Errorf("exit status %d, want %d; stderr: %s", code, tc.code, p.stderr.String())
			}
			if e := p.exit(); e.Code != tc.code {
				t.Errorf("exit file %s", dump(e))
			}
			if s := p.status("a"); s.State != "exited" || s.Code != tc.code {
				t.Errorf("status %s", dump(s))
			}
		})
	}
}
