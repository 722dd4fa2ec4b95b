package seccomp

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// rule is an action under conditions on the arguments, all of which must hold.
type rule struct {
	args   []specs.LinuxSeccompArg
	action uint32
}

// leaf is the code that answers one number. It ends in a return on every path.
type leaf struct {
	code   []bpf.Instruction
	always bool   // it is one return
	action uint32 // of that return
}

func constant(action uint32) leaf {
	return leaf{[]bpf.Instruction{bpf.RetConstant{Val: action}}, true, action}
}

func (l leaf) same(o leaf) bool { return l.always && o.always && l.action == o.action }

// answer makes a leaf of the rules of one call. The first rule without conditions is the end: it decides what
// the ones with conditions leave over; without any the fallback does.
func answer(rs []rule, fallback uint32) (leaf, error) {
	end := fallback
	var conditional []rule
	for _, r := range rs {
		if len(r.args) == 0 {
			end = r.action
			break
		}
		conditional = append(conditional, r)
	}
	for len(conditional) > 0 && conditional[len(conditional)-1].action == end {
		conditional = conditional[:len(conditional)-1] // what it decides is decided so anyway
	}
	l := leaf{action: end, always: true}
	for _, r := range conditional {
		code, err := r.code()
		if err != nil {
			return leaf{}, err
		}
		l.code, l.always = append(l.code, code...), false
	}
	l.code = append(l.code, bpf.RetConstant{Val: end})
	return l, nil
}

// jump is a conditional jump before its distances are known.
type jump struct {
	cond    bpf.JumpTest
	val     uint32
	onTrue  target
	onFalse target
}

// target is where a jump goes: on to the next instruction, past this condition, or past the whole rule.
type target int

const (
	next target = iota
	pass
	fail
)

// code tests the conditions one by one, falls into the return when all hold, and past it when one does not.
func (r rule) code() ([]bpf.Instruction, error) {
	var steps []any // bpf.Instruction or jump
	var ends []int  // of the condition that each step belongs to
	for _, a := range r.args {
		c, err := condition(a)
		if err != nil {
			return nil, err
		}
		for range c {
			ends = append(ends, len(steps)+len(c))
		}
		steps = append(steps, c...)
	}
	if len(steps) > 250 {
		return nil, fmt.Errorf("a rule with %d arguments is too long", len(r.args))
	}
	var out []bpf.Instruction
	for i, s := range steps {
		j, ok := s.(jump)
		if !ok {
			out = append(out, s.(bpf.Instruction))
			continue
		}
		distance := map[target]uint8{next: 0, pass: uint8(ends[i] - i - 1), fail: uint8(len(steps) - i)}
		out = append(out, bpf.JumpIf{Cond: j.cond, Val: j.val, SkipTrue: distance[j.onTrue], SkipFalse: distance[j.onFalse]})
	}
	return append(out, bpf.RetConstant{Val: r.action}), nil
}

// condition compares a 64-bit argument by its halves, the high one first.
func condition(a specs.LinuxSeccompArg) ([]any, error) {
	if a.Index > 5 {
		return nil, fmt.Errorf("a system call has no argument %d", a.Index)
	}
	off := offArgs + 8*uint32(a.Index)
	loadLo, loadHi := bpf.LoadAbsolute{Off: off, Size: 4}, bpf.LoadAbsolute{Off: off + 4, Size: 4}
	lo, hi := uint32(a.Value), uint32(a.Value>>32)
	// order: the high halves decide unless they are equal
	order := func(below, above target, last jump) []any {
		return []any{loadHi,
			jump{bpf.JumpGreaterThan, hi, above, next},
			jump{bpf.JumpGreaterOrEqual, hi, next, below},
			loadLo, last}
	}
	switch a.Op {
	case specs.OpEqualTo:
		return []any{loadHi, jump{bpf.JumpEqual, hi, next, fail}, loadLo, jump{bpf.JumpEqual, lo, next, fail}}, nil
	case specs.OpNotEqual:
		return []any{loadHi, jump{bpf.JumpEqual, hi, next, pass}, loadLo, jump{bpf.JumpEqual, lo, fail, next}}, nil
	case specs.OpMaskedEqual:
		want := a.ValueTwo
		return []any{
			loadHi, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: hi}, jump{bpf.JumpEqual, uint32(want >> 32), next, fail},
			loadLo, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: lo}, jump{bpf.JumpEqual, uint32(want), next, fail},
		}, nil
	case specs.OpLessThan:
		return order(pass, fail, jump{bpf.JumpGreaterOrEqual, lo, fail, next}), nil
	case specs.OpLessEqual:
		return order(pass, fail, jump{bpf.JumpGreaterThan, lo, fail, next}), nil
	case specs.OpGreaterThan:
		return order(fail, pass, jump{bpf.JumpGreaterThan, lo, next, fail}), nil
	case specs.OpGreaterEqual:
		return order(fail, pass, jump{bpf.JumpGreaterOrEqual, lo, next, fail}), nil
	}
	return nil, fmt.Errorf("unknown comparison %q", a.Op)
}

// action is the return value for a profile's action.
func action(a specs.LinuxSeccompAction, errno *uint) (uint32, error) {
	switch a {
	case specs.ActAllow:
		return unix.SECCOMP_RET_ALLOW, nil
	case specs.ActLog:
		return unix.SECCOMP_RET_LOG, nil
	case specs.ActTrap:
		return unix.SECCOMP_RET_TRAP, nil
	case specs.ActKill, specs.ActKillThread:
		return unix.SECCOMP_RET_KILL_THREAD, nil
	case specs.ActKillProcess:
		return unix.SECCOMP_RET_KILL_PROCESS, nil
	case specs.ActErrno:
		n := uint32(unix.EPERM)
		if errno != nil {
			n = uint32(*errno)
		}
		if n > 4095 {
			return 0, fmt.Errorf("errno %d is out of range", n)
		}
		return unix.SECCOMP_RET_ERRNO | n, nil
	}
	return 0, fmt.Errorf("unknown action %q", a)
}
