package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rkt/rkt/v2/sdk/conformance"
)

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{nil, exitUsage, "want --plugin DIR"},
		{[]string{"--plugin", "/none"}, exitUsage, "not a directory"},
		{[]string{"--plugin", ".", "--level", "4"}, exitUsage, `parse level "4"`},
		{[]string{"--plugin", ".", "--format", "yaml"}, exitUsage, `unknown format "yaml"`},
		{[]string{"--plugin", ".", "--config", "/none"}, exitUsage, "no such file"},
		{[]string{"--plugin", ".", "more"}, exitUsage, `unknown argument "more"`},
		{[]string{"--plugin", "."}, exitUsage, "no plugin.json in it"},
		{[]string{"--nonsense"}, exitUsage, "nonsense"},
		{[]string{"--list", "--level", "static"}, exitPassed, "PL-FILE-01"},
		{[]string{"-h"}, exitPassed, "--plugin"},
	} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), c.args, &out, &errs); code != c.code {
			t.Errorf("%q: exit status %d, want %d", c.args, code, c.code)
		}
		if text := out.String() + errs.String(); !strings.Contains(strings.ReplaceAll(text, " -plugin", " --plugin"), c.want) {
			t.Errorf("%q: %s, want %q", c.args, text, c.want)
		}
	}
	var out bytes.Buffer
	if run(t.Context(), []string{"--list", "--level", "0"}, &out, &out); strings.Contains(out.String(), "PL-START") {
		t.Error("the list of level 0 names checks of level 1")
	}
}

// TestFormats: one report in three forms, with a failure in it.
func TestFormats(t *testing.T) {
	good := conformance.Build(t, "../../../example/fetcher-file", nil)
	bad := filepath.Join(filepath.Dir(good), "another-name")
	if err := os.Rename(good, bad); err != nil {
		t.Fatal(err)
	}
	for format, look := range map[string]func(b []byte) bool{
		"text": func(b []byte) bool {
			return bytes.Contains(b, []byte("\nPL-FILE-02    fail  the name is the directory's: plugin.json says")) &&
				bytes.Contains(b, []byte("1 failed"))
		},
		"json": func(b []byte) bool {
			var r conformance.Report
			return json.Unmarshal(b, &r) == nil && r.Count(conformance.Fail) == 1 && r.Failed()[0].ID == "PL-FILE-02" && r.Plugin == "fetcher-file"
		},
		"junit": func(b []byte) bool {
			var s struct {
				Failures int `xml:"failures,attr"`
				Cases    []struct {
					Name    string `xml:"name,attr"`
					Failure *struct {
						Message string `xml:"message,attr"`
					} `xml:"failure"`
				} `xml:"testcase"`
			}
			return xml.Unmarshal(b, &s) == nil && s.Failures == 1 && s.Cases[1].Failure != nil && strings.HasPrefix(s.Cases[1].Name, "PL-FILE-02")
		},
	} {
		var out, errs bytes.Buffer
		code := run(t.Context(), []string{"--plugin", bad, "--level", "static", "--format", format}, &out, &errs)
		if code != exitFailed || !look(out.Bytes()) || errs.Len() > 0 {
			t.Errorf("%s: exit status %d\n%s%s", format, code, out.String(), errs.String())
		}
	}
}
