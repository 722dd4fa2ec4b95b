package limits

import (
	"strconv"

	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// filterLicense says that the program needs no helper that is reserved to GPL programs.
const filterLicense = "Apache-2.0"

// filter assembles the program that the kernel runs at each open and mknod of a device below the cgroup. It
// answers 1 (go on) when one rule covers the whole access, else 0.
//
// The library's own generator lets an access pass when a rule covers any part of it, so that "r" on a device
// would let it be opened for writing and reading; hence this one.
//
//	struct bpf_cgroup_dev_ctx { u32 access_type; /* access << 16 | type */ u32 major; u32 minor; }
func filter(devices []Device) asm.Instructions {
	const typ, access, major, minor, tmp = asm.R2, asm.R3, asm.R4, asm.R5, asm.R6
	insts := asm.Instructions{
		asm.LoadMem(typ, asm.R1, 0, asm.Word),
		asm.Mov.Reg32(access, typ),
		asm.And.Imm32(typ, 0xffff),
		asm.RSh.Imm32(access, 16),
		asm.LoadMem(major, asm.R1, 4, asm.Word),
		asm.LoadMem(minor, asm.R1, 8, asm.Word),
	}
	for i, d := range devices {
		next := "rule" + strconv.Itoa(i+1)
		kind := int32(unix.BPF_DEVCG_DEV_CHAR)
		if d.Type == 'b' {
			kind = unix.BPF_DEVCG_DEV_BLOCK
		}
		rule := asm.Instructions{asm.JNE.Imm(typ, kind, next)}
		if bits := accessBits(d.Access); bits != accessBits("rwm") {
			rule = append(rule,
				asm.Mov.Reg32(tmp, access),
				asm.And.Imm32(tmp, ^bits), // what is asked for beyond the rule
				asm.JNE.Imm(tmp, 0, next))
		}
		if d.Major != all {
			rule = append(rule, asm.JNE.Imm(major, int32(d.Major), next))
		}
		if d.Minor != all {
			rule = append(rule, asm.JNE.Imm(minor, int32(d.Minor), next))
		}
		rule = append(rule, asm.Mov.Imm(asm.R0, 1), asm.Return())
		rule[0] = rule[0].WithSymbol("rule" + strconv.Itoa(i))
		insts = append(insts, rule...)
	}
	return append(insts,
		asm.Mov.Imm(asm.R0, 0).WithSymbol("rule"+strconv.Itoa(len(devices))),
		asm.Return())
}
