package launch

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestScript(t *testing.T) {
	for _, c := range []struct{ program, interpreter, argument, err string }{
		{"\x7fELF", "", "", ""},
		{"", "", "", ""},
		{"#", "", "", ""},
		{"#!/bin/sh\nbody", "/bin/sh", "", ""},
		{"#! /bin/sh \n", "/bin/sh", "", ""},
		{"#!/usr/bin/python3 -I\nPK\x03\x04", "/usr/bin/python3", "-I", ""},
		{"#!/usr/bin/python3\t-I  -S \n", "/usr/bin/python3", "-I  -S", ""},
		{"#!/bin/sh", "", "", "no end"},
		{"#!/" + strings.Repeat("x", 300) + "\n", "", "", "no end"},
		{"#!\n", "", "", "absolute path"},
		{"#!python3\n", "", "", "absolute path"},
		{"#!/usr/../bin/sh\n", "", "", "absolute path"},
		{"#!/bin/\x00sh\n", "", "", "absolute path"},
		{"#!/usr/bin/env python3\n", "", "", "name the interpreter itself"},
	} {
		i, a, err := Script(strings.NewReader(c.program))
		if i != c.interpreter || a != c.argument || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: %q, %q, %v", c.program, i, a, err)
		}
	}
}

// What is accepted is a path that can be opened as it stands, and what cannot be is an error or no script.
func FuzzScript(f *testing.F) {
	for _, s := range []string{"", "#!", "#!/bin/sh -e\n", "#!\t/a\tb\n", "\x7fELF", "#!/a\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		i, a, err := Script(strings.NewReader(s))
		if i == "" && (a != "" || err == nil && strings.HasPrefix(s, "#!")) {
			t.Fatalf("%q: argument %q without interpreter, %v", s, a, err)
		}
		if i != "" && (!filepath.IsAbs(i) || strings.ContainsAny(i+a, "\n\x00")) {
			t.Fatalf("%q: %q, %q", s, i, a)
		}
	})
}
