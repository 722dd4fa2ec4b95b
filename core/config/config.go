package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/viper"
)

// Flags are the global flags; an empty value means not given.
type Flags struct {
	Dir          string
	SystemConfig string
	LocalConfig  string
	PluginPath   []string
	Insecure     []string
	TrustHTTPS   bool
	Debug        bool
}

// Config is what the rest of rkt sees.
type Config struct {
	Dir          string // data directory, absolute, symlinks resolved
	SystemConfig string
	LocalConfig  string
	PluginPath   []string
	Insecure     Insecure
	TrustHTTPS   bool // public keys found by discovery are trusted without a question, as https brought them
	Debug        bool
	Grease       bool // RKT_GREASE=1: plugins are told what a later minor of the contract might

	Stage1      string        // flavor, plugin name or directory; empty: the only one there is, or "linux"
	ImageSearch []string      // schemes tried for a bare name, in order
	StopGrace   time.Duration // between an app's stop signal and SIGKILL
	FetchLimit  time.Duration // deadline of one fetch
}

// Defaults, for --help and for files that do not say.
const (
	DefaultDir          = "/var/lib/rkt"
	DefaultSystemConfig = "/usr/lib/rkt"
	DefaultLocalConfig  = "/etc/rkt"
	DefaultStopGrace    = 10 * time.Second
	DefaultFetchLimit   = time.Hour
)

// fileName is rkt's own configuration below each configuration directory.
const fileName = "rkt.toml"

// Load merges everything. getenv is os.Getenv outside tests.
func Load(f Flags, getenv func(string) string) (Config, error) {
	c := Config{
		SystemConfig: first(f.SystemConfig, getenv("RKT_SYSTEM_CONFIG"), DefaultSystemConfig),
		LocalConfig:  first(f.LocalConfig, getenv("RKT_LOCAL_CONFIG"), DefaultLocalConfig),
		PluginPath:   slices.Clone(f.PluginPath),
		TrustHTTPS:   f.TrustHTTPS,
		Debug:        f.Debug,
		Grease:       getenv("RKT_GREASE") == "1",
	}
	if p := getenv("RKT_PLUGIN_PATH"); len(c.PluginPath) == 0 && p != "" {
		c.PluginPath = filepath.SplitList(p)
	}
	var err error
	if c.Insecure, err = ParseInsecure(f.Insecure); err != nil {
		return c, err
	}
	if c.TrustHTTPS && (c.Insecure.PubKey || c.Insecure.TLS) {
		return c, errors.New("--trust-keys-from-https trusts keys because https brought them, which --insecure-options=pubkey and tls take away: give one or the other")
	}
	// rkt finish and a detached start run with these from other directories.
	for _, dir := range append([]*string{&c.SystemConfig, &c.LocalConfig}, pointers(c.PluginPath)...) {
		if *dir, err = filepath.Abs(*dir); err != nil {
			return c, fmt.Errorf("read configuration: %w", err)
		}
	}
	v := viper.New()
	v.SetDefault("dir", DefaultDir)
	v.SetDefault("stage1", "")
	v.SetDefault("image.search", []string{"docker", "aci"})
	v.SetDefault("stop.grace", DefaultStopGrace)
	v.SetDefault("fetch.timeout", DefaultFetchLimit)
	for _, dir := range []string{c.SystemConfig, c.LocalConfig} {
		if err := merge(v, filepath.Join(dir, fileName)); err != nil {
			return c, invalid(err)
		}
	}
	c.Stage1 = first(getenv("RKT_STAGE1"), v.GetString("stage1"))
	c.ImageSearch = v.GetStringSlice("image.search")
	if c.StopGrace, err = duration(v, "stop.grace"); err != nil {
		return c, invalid(err)
	}
	if c.FetchLimit, err = duration(v, "fetch.timeout"); err != nil {
		return c, invalid(err)
	}
	c.Dir, err = dataDir(first(f.Dir, getenv("RKT_DIR"), v.GetString("dir")))
	return c, err
}

// duration insists on a unit: viper would take a bare 10 for nanoseconds.
func duration(v *viper.Viper, key string) (time.Duration, error) {
	var d time.Duration
	switch value := v.Get(key).(type) {
	case time.Duration:
		d = value
	case string:
		d, _ = time.ParseDuration(value)
	}
	if d <= 0 {
		return 0, fmt.Errorf("read configuration: %s = %v is no duration above zero, such as \"10s\"", key, v.Get(key))
	}
	return d, nil
}

func pointers(list []string) []*string {
	var out []*string
	for i := range list {
		out = append(out, &list[i])
	}
	return out
}

func merge(v *viper.Viper, path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close()
	v.SetConfigType("toml")
	if err := v.MergeConfig(f); err != nil {
		return fmt.Errorf("read configuration %s: %w", path, err)
	}
	return nil
}

// dataDir makes the path absolute and resolves symlinks, so that pods and mounts see one name for ever. The
// directory need not exist yet; the part of the path that does is resolved.
func dataDir(path string) (string, error) {
	if path == "" {
		return "", errors.New("the data directory (--dir) cannot be empty")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("find data directory: %w", err)
	}
	rest := ""
	for dir := abs; ; dir = filepath.Dir(dir) {
		resolved, err := filepath.EvalSymlinks(dir)
		if err == nil {
			return filepath.Join(resolved, rest), nil
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == "/" {
			return "", fmt.Errorf("find data directory: %w", err)
		}
		rest = filepath.Join(filepath.Base(dir), rest)
	}
}

func first(values ...string) string {
	for _, s := range values {
		if s != "" {
			return s
		}
	}
	return ""
}
