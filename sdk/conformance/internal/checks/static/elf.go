package static

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/manifest"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
)

// machines are the architectures that Go names.
func machines() map[string]elf.Machine {
	return map[string]elf.Machine{
		"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64, "386": elf.EM_386, "arm": elf.EM_ARM, "riscv64": elf.EM_RISCV,
		"ppc64le": elf.EM_PPC64, "s390x": elf.EM_S390, "loong64": elf.EM_LOONGARCH,
	}
}

// binaries calls f with every file that the manifest names and that is there, with its ELF form, or nil when it has none.
// exec is a binary, or a script where core runs scripts; a program may be a script.
func binaries(e *suite.Env, f func(name string, b *elf.File) error) error {
	return present(e, func(name, path string) error {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		b, err := elf.NewFile(file)
		if err != nil {
			b = nil
		}
		return f(name, b)
	})
}

// present calls f with every file that the manifest names and that is there; PL-FILE-03 finds those that are not.
func present(e *suite.Env, f func(name, path string) error) error {
	if err := parsed(e); err != nil {
		return err
	}
	for _, name := range files(e) {
		path := filepath.Join(e.Plugin.Dir, name)
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := f(name, path); err != nil {
			return err
		}
	}
	return nil
}

// scripted says why exec, which is no ELF binary, cannot be a script either.
func scripted(e *suite.Env) error {
	file, err := os.Open(filepath.Join(e.Plugin.Dir, e.Manifest.Exec))
	if err != nil {
		return err
	}
	defer file.Close()
	path, _, err := launch.Script(file)
	switch {
	case err != nil:
		return err
	case path == "":
		return errors.New("no script: its first line does not begin with #!")
	}
	for _, service := range []string{manifest.ServiceStage1, manifest.ServiceNetwork} {
		if e.Manifest.Provision(service) != nil {
			return fmt.Errorf("a plugin that provides %s cannot be a script, since pods pin it and not its interpreter", service)
		}
	}
	_, err = os.Stat(path)
	return err
}

func arch(e *suite.Env) error {
	want, known := machines()[runtime.GOARCH]
	if !known {
		return suite.Skip("the kit does not know the ELF machine of %s", runtime.GOARCH)
	}
	return binaries(e, func(name string, b *elf.File) error {
		if b == nil && name == e.Manifest.Exec {
			if err := scripted(e); err != nil {
				return fmt.Errorf("%s is not an ELF binary, and %w", name, err)
			}
		}
		if b != nil && b.Machine != want {
			return fmt.Errorf("%s is built for %v, this machine is %s", name, b.Machine, runtime.GOARCH)
		}
		return nil
	})
}

func linked(e *suite.Env) error {
	return binaries(e, func(name string, b *elf.File) error {
		if b == nil {
			return nil // PL-FILE-04 finds it
		}
		for _, p := range b.Progs {
			if p.Type == elf.PT_INTERP {
				return fmt.Errorf("%s wants a dynamic linker, which a pinned copy cannot count on: build it static (Go: CGO_ENABLED=0)", name)
			}
		}
		return nil
	})
}
