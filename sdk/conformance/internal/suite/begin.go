package suite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/rkt/rkt/v2/proto/manifest"
	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/answer"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/process"
)

// What would make most checks fail with one and the same line is said once, in place of a report.

// built returns an error when dir is no plugin's directory at all. PL-FILE-01 judges a plugin.json that is there.
func built(dir string) error {
	if fi, err := os.Stat(dir); err != nil || !fi.IsDir() {
		return errors.New("not a directory")
	}
	if _, err := os.Lstat(filepath.Join(dir, manifest.FileName)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no %s in it (the built directory is meant, as dist/NAME)", manifest.FileName)
	}
	return nil
}

// configureLimit is generous: a plugin that hangs is the checks' to find.
const configureLimit = 30 * time.Second

// configured returns an error when the plugin refuses the configuration that was given. Whatever else goes wrong is for
// the checks to say.
func (s *run) configured(ctx context.Context) (err error) {
	e := &Env{Plugin: &s.plugin, Manifest: s.manifest, Options: s.options}
	if e.scratch, err = os.MkdirTemp(s.base, ""); err != nil {
		return err
	}
	defer func() { _ = e.end() }()
	if err := os.Chmod(e.scratch, 0o711); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, configureLimit)
	defer cancel()
	p, err := e.Start(ctx, process.Options{})
	if err != nil {
		return nil
	}
	if err := e.configure(ctx, p.Conn); answer.Reason(err) == reason.ConfigInvalid {
		return fmt.Errorf("it refuses the given configuration: %w", err)
	}
	return nil
}

// unconfigured is what to add to an error of a plugin that may be in want of a configuration; empty otherwise.
func (s *run) unconfigured(err error) string {
	if answer.Reason(err) != reason.ConfigInvalid || s.manifest == nil || s.manifest.ConfigSchema == "" || len(s.plugin.Config) > 0 {
		return ""
	}
	return fmt.Sprintf("; %s names a config_schema and no configuration was given (--config)", manifest.FileName)
}
