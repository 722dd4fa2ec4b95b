#include "textflag.h"

// func prlimit(resource uintptr, out unsafe.Pointer) (errno uintptr)
TEXT ·prlimit(SB), NOSPLIT, $0-24
	MOVQ	$302, AX // SYS_prlimit64
	MOVQ	$0, DI
	MOVQ	resource+0(FP), SI
	MOVQ	$0, DX
	MOVQ	out+8(FP), R10
	SYSCALL
	MOVQ	AX, errno+16(FP)
	RET
