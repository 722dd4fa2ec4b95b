package engine

import (
	"fmt"
	"math"
	"math/big"
	"strings"
)

// factors are the suffixes of Kubernetes' quantities, which appc's isolators and --memory, --cpu share.
func factors() map[string]*big.Rat {
	f := map[string]*big.Rat{"m": big.NewRat(1, 1000), "": big.NewRat(1, 1)}
	for i, s := range []string{"k", "M", "G", "T", "P", "E"} {
		f[s] = new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(1000), big.NewInt(int64(i+1)), nil))
	}
	for i, s := range []string{"Ki", "Mi", "Gi", "Ti", "Pi", "Ei"} {
		f[s] = new(big.Rat).SetInt(new(big.Int).Lsh(big.NewInt(1), uint(10*(i+1))))
	}
	f["K"] = f["k"] // podman's users type it
	return f
}

func quantity(s string) (*big.Rat, error) {
	cut := strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	num, suffix := s, ""
	if cut >= 0 {
		num, suffix = s[:cut], s[cut:]
	}
	f, known := factors()[suffix]
	v, ok := new(big.Rat).SetString(num)
	if !known || !ok || len(s) > 32 {
		return nil, fmt.Errorf("%q is no quantity (such as 512Mi, 1G, 500m or 1.5)", s)
	}
	return v.Mul(v, f), nil
}

// round is the smallest whole number at or above r.
func round(r *big.Rat, s string) (int64, error) {
	n := new(big.Int).Add(r.Num(), new(big.Int).Sub(r.Denom(), big.NewInt(1)))
	n.Quo(n, r.Denom())
	if !n.IsInt64() || n.Int64() == math.MaxInt64 {
		return 0, fmt.Errorf("%q is too large", s)
	}
	return n.Int64(), nil
}

// ParseBytes reads an amount of memory: "512Mi", "1G", "4096".
func ParseBytes(s string) (int64, error) {
	q, err := quantity(s)
	if err != nil {
		return 0, err
	}
	n, err := round(q, s)
	if err == nil && n < 4096 && strings.HasSuffix(s, "m") {
		return 0, fmt.Errorf("%q is a few thousandths of a byte: the suffix of a mebibyte is Mi", s)
	}
	if err == nil && n < 4096 {
		return 0, fmt.Errorf("%q is less than 4096 bytes, the smallest limit that the kernel takes", s)
	}
	return n, err
}

// ParseMillis reads an amount of CPU time in thousandths of a CPU: "500m" is 500, "1.5" is 1500.
func ParseMillis(s string) (int64, error) {
	q, err := quantity(s)
	if err != nil {
		return 0, err
	}
	n, err := round(q.Mul(q, big.NewRat(1000, 1)), s)
	if err == nil && n < 10 {
		return 0, fmt.Errorf("%q is less than 10m, the smallest share that the kernel schedules", s)
	}
	return n, err
}
