package reference

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// notice says where a page comes from.
const notice = "<!-- Written by `go test ./cmd/rkt -run TestReference -update`. -->\n"

// Markdown is the page of one command: its help, to the letter, and the way to its neighbours.
func Markdown(c *cobra.Command) ([]byte, error) {
	c.InitDefaultHelpFlag()
	var help bytes.Buffer
	c.SetOut(&help)
	defer c.SetOut(nil)
	if err := c.Help(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s# %s\n\n%s\n\n```text\n%s\n```\n", notice, c.CommandPath(), c.Short, trimLines(help.String()))
	if c.HasParent() {
		fmt.Fprintf(&b, "\nBelow [%s](%s.md).\n", c.Parent().CommandPath(), Name(c.Parent()))
	}
	for i, sub := range Below(c) {
		if i == 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "* [%s](%s.md): %s\n", sub.CommandPath(), Name(sub), sub.Short)
	}
	return b.Bytes(), nil
}

// trimLines takes spaces and tabs off the ends of lines, which cobra's templates leave.
func trimLines(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " \t")
	}
	return strings.Join(lines, "\n")
}
