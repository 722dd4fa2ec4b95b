#include "textflag.h"

// func vfork(args unsafe.Pointer, size uintptr) (pid, errno uintptr)
//
// The child runs on this very stack and overwrites what lies above it, the return address too, before the
// parent goes on: it is kept in a register, of which each process has its own.
TEXT ·vfork(SB), NOSPLIT|NOFRAME, $0-32
	MOVQ	args+0(FP), DI
	MOVQ	size+8(FP), SI
	MOVQ	$435, AX // SYS_clone3
	POPQ	R12
	SYSCALL
	PUSHQ	R12
	CMPQ	AX, $0xfffffffffffff001
	JCC	failed
	MOVQ	AX, pid+16(FP)
	MOVQ	$0, errno+24(FP)
	RET
failed:
	NEGQ	AX
	MOVQ	$0, pid+16(FP)
	MOVQ	AX, errno+24(FP)
	RET
