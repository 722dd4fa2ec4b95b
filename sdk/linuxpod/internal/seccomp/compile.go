package seccomp

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	moby "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data. Both our architectures are little-endian.
const (
	offNr   = 0
	offArch = 4
	offArgs = 16
)

// maxLen is the kernel's limit, BPF_MAXINSNS.
const maxLen = 4096

// compile makes the program for a machine:
//
//	load arch; native? -> tree of numbers; 32-bit? -> tree of numbers; else end the process
//
// A tree is a binary search over the ranges of numbers that are answered alike, so that a call costs some ten
// instructions. (Since Linux 5.11 the kernel remembers the numbers that are always allowed, and runs none.)
func compile(p *moby.Seccomp, h host) ([]bpf.RawInstruction, error) {
	fallback, err := action(p.DefaultAction, p.DefaultErrnoRet)
	if err != nil {
		return nil, err
	}
	as, err := abis(h.arch)
	if err != nil {
		return nil, err
	}
	active := rules(p, h)
	prog := []bpf.Instruction{bpf.LoadAbsolute{Off: offArch, Size: 4}}
	for _, a := range as {
		numbers, err := a.numbers()
		if err != nil {
			return nil, err
		}
		leaves, err := answers(active, numbers, fallback)
		if err != nil {
			return nil, err
		}
		section := []bpf.Instruction{bpf.LoadAbsolute{Off: offNr, Size: 4}}
		section = append(section, tree(ranges(leaves, fallback, newest(p, numbers), a.limit))...)
		prog = append(prog,
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: a.audit, SkipTrue: 1},
			bpf.Jump{Skip: uint32(len(section))})
		prog = append(prog, section...)
	}
	prog = append(prog, bpf.RetConstant{Val: unix.SECCOMP_RET_KILL_PROCESS})
	if len(prog) > maxLen {
		return nil, fmt.Errorf("program of %d instructions, the kernel takes %d", len(prog), maxLen)
	}
	return bpf.Assemble(prog)
}

// answers returns the code for each number that a rule names.
func answers(active []specs.LinuxSyscall, numbers map[string]uint32, fallback uint32) (map[uint32]leaf, error) {
	byNr := map[uint32][]rule{}
	for _, s := range active {
		act, err := action(s.Action, s.ErrnoRet)
		if err != nil {
			return nil, err
		}
		for _, name := range s.Names {
			if nr, ok := numbers[name]; ok { // a name of another architecture, or one that nobody has
				byNr[nr] = append(byNr[nr], rule{s.Args, act})
			}
		}
	}
	out := map[uint32]leaf{}
	for nr, rs := range byNr {
		l, err := answer(rs, fallback)
		if err != nil {
			return nil, fmt.Errorf("system call %d: %w", nr, err)
		}
		out[nr] = l
	}
	return out, nil
}

// span is a range of numbers with one answer; it ends where the next begins.
type span struct {
	from uint32
	leaf leaf
}

// ranges puts the answers in order and fills what lies between: the fallback among the numbers that the
// profile knows, ENOSYS above, the fallback again from limit on.
func ranges(leaves map[uint32]leaf, fallback, newest, limit uint32) []span {
	refuse, unknown := constant(fallback), constant(unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS))
	spans := []span{{0, refuse}}
	gap := func(from uint32) leaf {
		if from > newest {
			return unknown
		}
		return refuse
	}
	starts := map[uint32]leaf{newest + 1: unknown}
	if limit > 0 {
		starts[limit] = refuse
	}
	for nr, l := range leaves {
		starts[nr] = l
		if _, named := leaves[nr+1]; !named {
			starts[nr+1] = gap(nr + 1)
		}
	}
	for _, from := range slices.SortedFunc(maps.Keys(starts), cmp.Compare[uint32]) {
		last := &spans[len(spans)-1]
		switch {
		case starts[from].same(last.leaf):
		case last.from == from:
			last.leaf = starts[from]
		default:
			spans = append(spans, span{from, starts[from]})
		}
	}
	return spans
}

// tree searches the spans for the number in the accumulator. Conditional jumps reach 255 instructions, so a
// far right half is reached by an unconditional one.
func tree(spans []span) []bpf.Instruction {
	if len(spans) == 1 {
		return spans[0].leaf.code
	}
	mid := len(spans) / 2
	left, right := tree(spans[:mid]), tree(spans[mid:])
	var out []bpf.Instruction
	if len(left) <= 255 {
		out = append(out, bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: spans[mid].from, SkipTrue: uint8(len(left))})
	} else {
		out = append(out,
			bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: spans[mid].from, SkipFalse: 1},
			bpf.Jump{Skip: uint32(len(left))})
	}
	return append(append(out, left...), right...)
}
