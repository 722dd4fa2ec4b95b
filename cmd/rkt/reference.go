//go:build reference

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/rkt/rkt/v2/cmd/rkt/internal/reference"
)

// main writes what packages carry beside the binary, below the directory given: `go run -tags=reference ./cmd/rkt
// dist/share` makes man pages and completions. The date of the pages is SOURCE_DATE_EPOCH's.
func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: reference DIRECTORY")
		os.Exit(exitOther)
	}
	if err := writeShare(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(exitOther)
	}
}

func writeShare(dir string) error {
	root := documented()
	date := time.Now()
	if s := os.Getenv("SOURCE_DATE_EPOCH"); s != "" {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return fmt.Errorf("read SOURCE_DATE_EPOCH: %w", err)
		}
		date = time.Unix(n, 0)
	}
	err := reference.Walk(root, func(c *cobra.Command) error {
		section := strconv.Itoa(reference.Section(c))
		path := filepath.Join(dir, "man", "man"+section, reference.Name(c)+"."+section)
		return writeFile(path, reference.Man(c, reference.Edition{Version: version, Date: date}))
	})
	if err != nil {
		return err
	}
	for path, gen := range map[string]func(io.Writer) error{
		"bash-completion/completions/rkt":    func(w io.Writer) error { return root.GenBashCompletionV2(w, true) },
		"zsh/site-functions/_rkt":            root.GenZshCompletion,
		"fish/vendor_completions.d/rkt.fish": func(w io.Writer) error { return root.GenFishCompletion(w, true) },
	} {
		var b bytes.Buffer
		if err := gen(&b); err != nil {
			return err
		}
		if err := writeFile(filepath.Join(dir, path), b.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}
