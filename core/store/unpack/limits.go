package unpack

import "fmt"

// Limits bound what one layer may be. Zero fields take the default.
type Limits struct {
	Entries    int64 `json:"entries"`    // archive members
	Bytes      int64 `json:"bytes"`      // the uncompressed archive
	Ratio      int64 `json:"ratio"`      // uncompressed : compressed, asked once RatioFloor is passed
	RatioFloor int64 `json:"ratioFloor"` //
	NameBytes  int64 `json:"nameBytes"`  // all names together: they are kept on disk, of directories in memory
	ZstdWindow int64 `json:"zstdWindow"`
	Memory     int64 `json:"memory"` // of the child (RLIMIT_DATA)
}

// Defaults are far above real images and far below what hurts.
func Defaults() Limits {
	return Limits{
		Entries:    2_000_000,
		Bytes:      64 << 30,
		Ratio:      250,
		RatioFloor: 1 << 30,
		NameBytes:  256 << 20,
		ZstdWindow: 128 << 20,
		Memory:     1 << 30,
	}
}

func (l Limits) withDefaults() Limits {
	d := Defaults()
	for _, p := range []struct{ have, def *int64 }{
		{&l.Entries, &d.Entries}, {&l.Bytes, &d.Bytes}, {&l.Ratio, &d.Ratio}, {&l.RatioFloor, &d.RatioFloor},
		{&l.NameBytes, &d.NameBytes}, {&l.ZstdWindow, &d.ZstdWindow}, {&l.Memory, &d.Memory},
	} {
		if *p.have <= 0 {
			*p.have = *p.def
		}
	}
	return l
}

// The kernel's own limits on names (limits.h).
const (
	maxPath      = 4095
	maxComponent = 255
	maxSymlinks  = 40
	maxOpaque    = 100_000
)

// limitError says which limit a layer went over.
type limitError struct {
	what string
	max  int64
}

func (e *limitError) Error() string {
	return fmt.Sprintf("the layer has more than %d %s, which is the limit", e.max, e.what)
}
