package static

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/manifest"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
)

// Checks in the order in which they are run.
func Checks() []suite.Check {
	check := func(id, title string, run func(e *suite.Env) error) suite.Check {
		return suite.Check{ID: id, Title: title, Level: suite.Static, Run: func(_ context.Context, e *suite.Env) error { return run(e) }}
	}
	return []suite.Check{
		check("PL-FILE-01", "plugin.json has schema 1 and is complete", readable),
		check("PL-FILE-02", "the name is the directory's", named),
		check("PL-FILE-03", "exec and programs are executable files of the directory", programs),
		check("PL-FILE-04", "binaries are ELF for this machine", arch),
		check("PL-FILE-05", "binaries are linked statically", linked),
		check("PL-FILE-06", "no file is setuid, setgid or has capabilities", privileges),
		check("PL-FILE-07", "nobody but the owner can write the directory or any file of it", writable),
		check("PL-FILE-08", "provides says what core needs to choose the plugin", provides),
		check("PL-FILE-09", "the version is semver", version),
		check("PL-FILE-10", "config_schema is a JSON schema in the directory", schema),
	}
}

func readable(e *suite.Env) error {
	_, err := suite.ReadManifest(e.Plugin.Dir)
	return err
}

// parsed is for checks that have nothing to look at without a manifest; PL-FILE-01 says what is wrong with it.
func parsed(e *suite.Env) error {
	if e.Manifest == nil {
		return suite.Skip("plugin.json cannot be read")
	}
	return nil
}

func named(e *suite.Env) error {
	if err := parsed(e); err != nil {
		return err
	}
	if dir := filepath.Base(e.Plugin.Dir); dir != e.Manifest.Name {
		return fmt.Errorf("plugin.json says %q, the directory is called %q", e.Manifest.Name, dir)
	}
	return nil
}

func files(e *suite.Env) []string {
	return append([]string{e.Manifest.Exec}, e.Manifest.Programs...)
}

func programs(e *suite.Env) error {
	if err := parsed(e); err != nil {
		return err
	}
	for _, name := range files(e) {
		fi, err := os.Lstat(filepath.Join(e.Plugin.Dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is missing, though plugin.json names it", name)
		}
		if err != nil {
			return err
		}
		if !fi.Mode().IsRegular() {
			return fmt.Errorf("%s is not a regular file (mode %v); a symbolic link is not followed", name, fi.Mode())
		}
		if fi.Mode()&0o111 != 0o111 {
			return fmt.Errorf("%s cannot be executed by everybody (mode %v), and core runs fetchers and verifiers as another user: chmod a+rx %s", name, fi.Mode(), name)
		}
	}
	return nil
}

func privileges(e *suite.Env) error {
	return present(e, func(name, path string) error {
		fi, err := os.Lstat(path)
		if err != nil {
			return err
		}
		if fi.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
			return fmt.Errorf("%s is setuid or setgid (mode %v)", name, fi.Mode())
		}
		if n, err := unix.Lgetxattr(path, "security.capability", nil); err == nil && n > 0 {
			return fmt.Errorf("%s has file capabilities", name)
		}
		return nil
	})
}

func writable(e *suite.Env) error {
	return filepath.WalkDir(e.Plugin.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		if fi.Mode().Type() == fs.ModeSymlink || fi.Mode()&0o022 == 0 {
			return nil // a link's own mode says nothing
		}
		name, err := filepath.Rel(e.Plugin.Dir, path)
		if name == "." {
			name = "the directory"
		}
		return errors.Join(err, fmt.Errorf("%s can be written by group or others (mode %v): chmod go-w", name, fi.Mode()))
	})
}

func provides(e *suite.Env) error {
	if err := parsed(e); err != nil {
		return err
	}
	known := 0
	for _, p := range e.Manifest.Provides {
		var empty string
		switch p.Service {
		case manifest.ServiceFetcher:
			if len(p.Schemes) == 0 {
				empty = "schemes"
			}
		case manifest.ServiceVerifier:
			if len(p.MediaTypes) == 0 {
				empty = "media_types"
			}
		case manifest.ServiceStage1:
			if p.Flavor == "" {
				empty = "flavor"
			}
		case manifest.ServiceNetwork:
		default:
			continue
		}
		known++
		if empty != "" {
			return fmt.Errorf("%s has no %s, by which core chooses", p.Service, empty)
		}
		if !slices.Contains(p.Protocols, launch.Protocol) {
			return fmt.Errorf("%s speaks protocols %v, this contract is %d", p.Service, p.Protocols, launch.Protocol)
		}
	}
	if known == 0 {
		return errors.New("it provides no service of rkt's")
	}
	return nil
}

// semver is semver.org's grammar, less the rule about leading zeros of pre-releases.
const semver = `^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$`

func version(e *suite.Env) error {
	if err := parsed(e); err != nil {
		return err
	}
	if !regexp.MustCompile(semver).MatchString(e.Manifest.Version) {
		return fmt.Errorf("%q is not MAJOR.MINOR.PATCH", e.Manifest.Version)
	}
	return nil
}

func schema(e *suite.Env) error {
	if err := parsed(e); err != nil {
		return err
	}
	name := e.Manifest.ConfigSchema
	if name == "" {
		return suite.Skip("the plugin names no config_schema")
	}
	if filepath.Base(name) != name {
		return fmt.Errorf("%q is not a bare file name", name)
	}
	b, err := os.ReadFile(filepath.Join(e.Plugin.Dir, name))
	if err != nil {
		return err
	}
	var doc map[string]any
	if err := json.Unmarshal(b, &doc); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
