package engine

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/rkt/rkt/v2/core/plugin"
	pluginv1 "github.com/rkt/rkt/v2/proto/rkt/plugin/v1"
)

// Requirements look for what a plugin's plugin.json says that it needs of the host. The plugin is not run.
func Requirements(entry *plugin.Entry) []*pluginv1.Finding {
	if entry.Manifest == nil || entry.Manifest.Requires == nil {
		return nil
	}
	var out []*pluginv1.Finding
	for _, dev := range entry.Manifest.Requires.Devices {
		f := &pluginv1.Finding{Id: "device", Required: true, Ok: true, Summary: dev}
		if fi, err := os.Stat(dev); err != nil || fi.Mode()&os.ModeDevice == 0 {
			f.Ok, f.Summary = false, fmt.Sprintf("there is no device %s", dev)
			f.Remedy = "load the kernel's module for " + dev
		}
		out = append(out, f)
	}
	for _, bin := range entry.Manifest.Requires.Binaries {
		f := &pluginv1.Finding{Id: "binary", Required: true, Ok: true, Summary: bin}
		if path := lookPath(bin); path != "" {
			f.Summary = path
		} else {
			f.Ok, f.Summary = false, fmt.Sprintf("there is no program %s in %s", bin, plugin.Path)
			f.Remedy = "install the package that brings " + bin
		}
		out = append(out, f)
	}
	return out
}

// lookPath finds a program where a plugin would: in the PATH that rkt gives it.
func lookPath(name string) string {
	for _, dir := range filepath.SplitList(plugin.Path) {
		path := name
		if !filepath.IsAbs(name) {
			path = filepath.Join(dir, name)
		}
		if fi, err := os.Stat(path); err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}
