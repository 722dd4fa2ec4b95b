package main

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	name := flag.String("name", "", "name of the package")
	version := flag.String("version", "", "version of the package")
	out := flag.String("out", "", "directory for sbom.cdx.json and copyright")
	license := flag.String("license", "LICENSE", "file with rkt's own licence")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: inventory -name NAME -version VERSION -out DIR TREE")
		flag.PrintDefaults()
	}
	flag.Parse()
	if *name == "" || *version == "" || *out == "" || flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*name, *version, *out, *license, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "inventory:", err)
		os.Exit(1)
	}
}

func run(name, version, out, license, tree string) error {
	when, err := epoch()
	if err != nil {
		return err
	}
	programs, err := find(tree)
	if err != nil {
		return err
	}
	doc, err := json.MarshalIndent(bom(name, version, when, programs), "", "  ")
	if err != nil {
		return err
	}
	notice, err := licences(modules(programs), license)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(out, "sbom.cdx.json"), append(doc, '\n'), 0o644),
		os.WriteFile(filepath.Join(out, "copyright"), notice, 0o644))
}

// epoch is the date of what is built.
func epoch() (time.Time, error) {
	n, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("read SOURCE_DATE_EPOCH: %w", err)
	}
	return time.Unix(n, 0).UTC(), nil
}

// program is a Go binary of the package.
type program struct {
	path   string // in the tree, without a leading slash
	sha256 string
	goes   string // version of Go
	main   string // module path of the package main
	deps   []module
}

type module struct{ path, version, sum string }

// find returns the Go binaries below tree, in the order of their names.
func find(tree string) ([]program, error) {
	var out []program
	err := filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil || !bytes.HasPrefix(b, []byte("\x7fELF")) {
			return err
		}
		info, err := buildinfo.Read(bytes.NewReader(b))
		if err != nil {
			return fmt.Errorf("read what %s is made of: %w", path, err)
		}
		rel, err := filepath.Rel(tree, path)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(b)
		p := program{path: rel, sha256: hex.EncodeToString(sum[:]), goes: strings.TrimPrefix(info.GoVersion, "go"), main: info.Path}
		all := info.Deps
		if info.Main.Path != ownModule {
			all = append(slices.Clone(all), &info.Main) // a program of another project, such as CNI's
		}
		for _, m := range all {
			if m.Replace != nil {
				m = m.Replace
			}
			if m.Path != ownModule {
				p.deps = append(p.deps, module{m.Path, m.Version, m.Sum})
			}
		}
		out = append(out, p)
		return nil
	})
	return out, err
}

// ownModule is the one whose version is the package's.
const ownModule = "github.com/rkt/rkt/v2"

// modules are all modules of the programs, each version once, sorted.
func modules(programs []program) []module {
	var all []module
	for _, p := range programs {
		all = append(all, p.deps...)
		all = append(all, module{path: "std", version: p.goes})
	}
	slices.SortFunc(all, func(a, b module) int {
		return strings.Compare(a.path+"\x00"+a.version, b.path+"\x00"+b.version)
	})
	return slices.CompactFunc(all, func(a, b module) bool { return a.path == b.path && a.version == b.version })
}
