#include "textflag.h"

// func prlimit(resource uintptr, out unsafe.Pointer) (errno uintptr)
TEXT ·prlimit(SB), NOSPLIT, $0-24
	MOVD	$261, R8 // SYS_prlimit64
	MOVD	$0, R0
	MOVD	resource+0(FP), R1
	MOVD	$0, R2
	MOVD	out+8(FP), R3
	SVC
	MOVD	R0, errno+16(FP)
	RET
