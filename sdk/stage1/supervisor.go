package stage1

// supervise is the single-binary form: the process is a supervisor when its argument says so.
func supervise(Info, Stage1) {}
