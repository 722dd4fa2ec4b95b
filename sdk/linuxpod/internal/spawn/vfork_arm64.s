#include "textflag.h"

// func vfork(args unsafe.Pointer, size uintptr) (pid, errno uintptr)
//
// A leaf without a frame: the return address stays in a register, of which each process has its own.
TEXT ·vfork(SB), NOSPLIT, $0-32
	MOVD	args+0(FP), R0
	MOVD	size+8(FP), R1
	MOVD	$435, R8 // SYS_clone3
	SVC
	CMN	$4095, R0
	BCC	ok
	NEG	R0, R0
	MOVD	ZR, pid+16(FP)
	MOVD	R0, errno+24(FP)
	RET
ok:
	MOVD	R0, pid+16(FP)
	MOVD	ZR, errno+24(FP)
	RET
