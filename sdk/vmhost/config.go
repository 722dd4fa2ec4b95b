package vmhost

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Config is <local-config>/plugins/<name>.json. Every field may be absent. config.schema.json says the same.
type Config struct {
	// Accel is "kvm" (the default: nobody gets emulation unasked), "tcg" (emulation, where the VMM can) or "auto".
	Accel string `json:"accel,omitempty"`
	// Kernel and Modules are a kernel image and its module directory, instead of the host's own.
	Kernel     string `json:"kernel,omitempty"`
	Modules    string `json:"modules,omitempty"`
	KernelArgs string `json:"kernelArgs,omitempty"` // added to the command line
	// Program is the VMM, instead of the one in PATH. Machine is QEMU's machine type: "auto" (the default: "microvm" with
	// KVM and a distribution's kernel, else "q35"), or either.
	Program   string `json:"program,omitempty"`
	Machine   string `json:"machine,omitempty"`
	Virtiofsd string `json:"virtiofsd,omitempty"` // instead of the distribution's

	CPUs           int   `json:"cpus,omitempty"`
	MemoryPerApp   Bytes `json:"memoryPerApp,omitempty"`
	MemoryOverhead Bytes `json:"memoryOverhead,omitempty"`
	MemoryMin      Bytes `json:"memoryMin,omitempty"`
	// DiskSize is how much all apps of a pod together can write; the disk is sparse.
	DiskSize Bytes `json:"diskSize,omitempty"`
	// BootSeconds is how long a guest may take until its agent speaks.
	BootSeconds int `json:"bootSeconds,omitempty"`
}

// Accelerations.
const (
	KVM  = "kvm"
	TCG  = "tcg"
	Auto = "auto"
)

const mib = 1 << 20

// ParseConfig reads the file and fills in the defaults.
func ParseConfig(b []byte) (Config, error) {
	var c Config
	if len(bytes.TrimSpace(b)) > 0 {
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields() // a word that is misspelt would do nothing, silently
		if err := d.Decode(&c); err != nil {
			return c, err
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			return c, errors.New("something follows the first JSON object")
		}
	}
	if err := c.check(); err != nil {
		return c, err
	}
	def := func(b *Bytes, v Bytes) {
		if *b == 0 {
			*b = v
		}
	}
	def(&c.MemoryPerApp, 128*mib)
	def(&c.MemoryOverhead, 128*mib)
	def(&c.MemoryMin, 256*mib)
	def(&c.DiskSize, 16<<30)
	if c.Accel == "" {
		c.Accel = KVM
	}
	if c.CPUs == 0 {
		c.CPUs = 1
	}
	if c.BootSeconds == 0 {
		c.BootSeconds = 120
	}
	return c, nil
}

func (c *Config) check() error {
	switch c.Accel {
	case "", KVM, TCG, Auto:
	default:
		return fmt.Errorf(`accel is %q; it can be "kvm", "tcg" or "auto"`, c.Accel)
	}
	switch c.Machine {
	case "", "auto", "q35", "microvm":
	default:
		return fmt.Errorf(`machine is %q; it can be "auto", "q35" or "microvm"`, c.Machine)
	}
	for name, path := range map[string]string{"kernel": c.Kernel, "modules": c.Modules, "program": c.Program, "virtiofsd": c.Virtiofsd} {
		if path != "" && !filepath.IsAbs(path) {
			return fmt.Errorf("%s is %q, which is no absolute path", name, path)
		}
	}
	if c.Modules != "" && c.Kernel == "" {
		return errors.New("modules are named without a kernel")
	}
	if strings.ContainsAny(c.KernelArgs, "\n\x00") {
		return errors.New("kernelArgs has a line break")
	}
	if c.CPUs < 0 || c.CPUs > 1024 || c.BootSeconds < 0 || c.BootSeconds > 3600 {
		return fmt.Errorf("cpus is %d, bootSeconds %d; they go to 1024 and 3600", c.CPUs, c.BootSeconds)
	}
	if c.DiskSize != 0 && (c.DiskSize < 64*mib || c.DiskSize%mib != 0) {
		return fmt.Errorf("diskSize is %d; it is a whole number of MiB, and at least 64", c.DiskSize)
	}
	return nil
}

// BootTime is BootSeconds.
func (c *Config) BootTime() time.Duration { return time.Duration(c.BootSeconds) * time.Second }

// Bytes is a number, or a string with the suffix Ki, Mi, Gi or Ti.
type Bytes int64

// UnmarshalJSON reads either form.
func (b *Bytes) UnmarshalJSON(data []byte) error {
	s := string(data)
	if len(data) > 0 && data[0] == '"' {
		if err := json.Unmarshal(data, &s); err != nil {
			return err
		}
	}
	shift := 0
	for i, suffix := range []string{"Ki", "Mi", "Gi", "Ti"} {
		if rest, ok := strings.CutSuffix(s, suffix); ok {
			s, shift = rest, 10*(i+1)
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > 1<<50>>shift {
		return fmt.Errorf(`%s is no size like 268435456 or "256Mi"`, data)
	}
	*b = Bytes(n << shift)
	return nil
}
