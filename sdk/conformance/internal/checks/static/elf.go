package static

import (
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
)

// machines are the architectures that Go names.
func machines() map[string]elf.Machine {
	return map[string]elf.Machine{
		"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64, "386": elf.EM_386, "arm": elf.EM_ARM, "riscv64": elf.EM_RISCV,
		"ppc64le": elf.EM_PPC64, "s390x": elf.EM_S390, "loong64": elf.EM_LOONGARCH,
	}
}

// binaries calls f with every ELF file that the manifest names. exec must be one; a program may be a script.
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
			file.Close()
			return fmt.Errorf("%s is not an ELF binary, and a script cannot be a plugin: %w", name, err)
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
