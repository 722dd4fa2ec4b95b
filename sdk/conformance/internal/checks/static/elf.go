package static

import (
	"debug/elf"
	"errors"
	"fmt"
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

// binaries calls f with every ELF file that the manifest names. exec is one, or a script where core runs scripts; a
// program may be a script.
func binaries(e *suite.Env, f func(name string, b *elf.File) error) error {
	if err := parsed(e); err != nil {
		return err
	}
	for i, name := range files(e) {
		file, err := os.Open(filepath.Join(e.Plugin.Dir, name))
		if err != nil {
			return err
		}
		b, err := elf.NewFile(file)
		if err != nil && i == 0 {
			if err := scripted(e, file); err != nil {
				file.Close()
				return fmt.Errorf("%s is not an ELF binary, and %w", name, err)
			}
		}
		if err == nil {
			err = f(name, b)
		} else {
			err = nil
		}
		file.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// scripted says why a file that is no ELF binary cannot be a script either.
func scripted(e *suite.Env, file *os.File) error {
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
		if b.Machine != want {
			return fmt.Errorf("%s is built for %v, this machine is %s", name, b.Machine, runtime.GOARCH)
		}
		return nil
	})
}

func linked(e *suite.Env) error {
	return binaries(e, func(name string, b *elf.File) error {
		for _, p := range b.Progs {
			if p.Type == elf.PT_INTERP {
				return fmt.Errorf("%s wants a dynamic linker, which a pinned copy cannot count on: build it static (Go: CGO_ENABLED=0)", name)
			}
		}
		return nil
	})
}
