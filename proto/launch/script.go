package launch

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// maxScriptLine is the kernel's BINPRM_BUF_SIZE.
const maxScriptLine = 256

// Script reads the first line of a plugin's program. Of a binary it returns an empty interpreter. Of a script, whose
// first line is "#!INTERPRETER ARGUMENT" as the kernel takes it apart (the rest of the line is one argument, which
// may be empty), core executes the interpreter with
//
//	argv  INTERPRETER [ARGUMENT] /proc/self/fd/N
//
// where N, above the donated descriptors, is the script itself.
func Script(program io.ReaderAt) (interpreter, argument string, err error) {
	b := make([]byte, maxScriptLine)
	n, err := program.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", "", err
	}
	line, whole := bytes.CutPrefix(b[:n], []byte("#!"))
	if !whole {
		return "", "", nil
	}
	line, _, whole = bytes.Cut(line, []byte("\n"))
	if !whole {
		return "", "", fmt.Errorf("its first line has no end within %d bytes", maxScriptLine)
	}
	text := strings.Trim(string(line), " \t")
	interpreter = text
	if i := strings.IndexAny(text, " \t"); i >= 0 {
		interpreter, argument = text[:i], strings.Trim(text[i:], " \t")
	}
	switch {
	case !filepath.IsAbs(interpreter) || filepath.Clean(interpreter) != interpreter || strings.ContainsRune(text, 0):
		return "", "", fmt.Errorf("its first line names no interpreter by an absolute path: %+q", text)
	case filepath.Base(interpreter) == "env":
		return "", "", fmt.Errorf("its first line has the interpreter looked up by %s, where nobody can check it: name the interpreter itself", interpreter)
	}
	return interpreter, argument, nil
}
