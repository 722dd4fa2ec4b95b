package confine

import (
	"os"
	"testing"
)

func TestParseELF(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := readHead(exe)
	if err != nil {
		t.Fatal(err)
	}
	e, err := parseELF(b)
	if err != nil || e.machine != ownMachine() {
		t.Errorf("own program: %+v, %v", e, err)
	}
}

func TestInterpreter(t *testing.T) {
	for head, want := range map[string]string{
		"#!/bin/sh\n": "/bin/sh", "#! /usr/bin/env python\nx": "/usr/bin/env", "#!/bin/sh": "/bin/sh", "#!": "", "#!\n/bin/sh": "",
		"#!/bin/sh\r\n": "/bin/sh\r",
	} {
		if got := interpreter([]byte(head)); got != want {
			t.Errorf("interpreter(%q) = %q, want %q", head, got, want)
		}
	}
}

func FuzzParseELF(f *testing.F) {
	if exe, err := os.Executable(); err == nil {
		if b, err := readHead(exe); err == nil {
			f.Add(b[:1024])
		}
	}
	f.Add([]byte("\x7fELF\x02\x01\x01\x00"))
	f.Add(append([]byte("\x7fELF\x01\x02\x01"), make([]byte, 100)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := parseELF(b)
		if err == nil && len(e.loader) > 4096 {
			t.Errorf("loader of %d bytes", len(e.loader))
		}
	})
}
