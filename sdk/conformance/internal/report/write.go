package report

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// Line is a result as text, its columns wide enough for every ID.
func (r Result) Line() string {
	line := fmt.Sprintf("%-13s %-4s  %s", r.ID, r.Outcome, r.Title)
	if r.Reason != "" {
		line += ": " + r.Reason
	}
	return line
}

// Text writes one line a check and the summary.
func (r *Report) Text(w io.Writer) error {
	var b strings.Builder
	for _, res := range r.Results {
		b.WriteString(res.Line() + "\n")
	}
	b.WriteString(r.Summary() + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// JSON writes the report as one document.
func (r *Report) JSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string    `xml:"classname,attr"`
	Name    string    `xml:"name,attr"`
	Seconds string    `xml:"time,attr"`
	Failure *junitWhy `xml:"failure,omitempty"`
	Skipped *junitWhy `xml:"skipped,omitempty"`
}

type junitWhy struct {
	Message string `xml:"message,attr"`
}

// JUnit writes the report as a test suite.
func (r *Report) JUnit(w io.Writer) error {
	s := junitSuite{Name: r.Plugin, Tests: len(r.Results), Failures: r.Count(Fail), Skipped: r.Count(Skip)}
	for _, res := range r.Results {
		c := junitCase{Class: r.Plugin + "." + res.Level, Name: res.ID + " " + res.Title, Seconds: fmt.Sprintf("%.3f", res.Took.Seconds())}
		switch res.Outcome {
		case Fail:
			c.Failure = &junitWhy{res.Reason}
		case Skip:
			c.Skipped = &junitWhy{res.Reason}
		}
		s.Cases = append(s.Cases, c)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(s); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}
