package seccomp

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// abi is one set of system call numbers that a kernel offers.
type abi struct {
	audit uint32 // what the kernel puts into seccomp_data.arch
	table string
	limit uint32 // numbers from here on are another ABI's and refused; 0: none
}

// x32 calls have the audit number of x86-64 and this bit.
const x32Bit = 0x4000_0000

// abis returns the native ABI and the 32-bit one of a machine. arch is a GOARCH.
func abis(arch string) ([]abi, error) {
	switch arch {
	case "amd64":
		return []abi{
			{audit: unix.AUDIT_ARCH_X86_64, table: tableAMD64, limit: x32Bit},
			{audit: unix.AUDIT_ARCH_I386, table: table386},
		}, nil
	case "arm64":
		return []abi{
			{audit: unix.AUDIT_ARCH_AARCH64, table: tableARM64},
			{audit: unix.AUDIT_ARCH_ARM, table: tableARM},
		}, nil
	}
	return nil, fmt.Errorf("no system call table for architecture %q", arch)
}

func (a abi) numbers() (map[string]uint32, error) {
	out := map[string]uint32{}
	for line := range strings.Lines(a.table) {
		name, num, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.ParseUint(num, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("system call table: %w", err)
		}
		out[name] = uint32(n)
	}
	return out, nil
}
