package config

// InvalidError is about a file of the administrator's that cannot be used. Its text is its cause's.
type InvalidError struct{ Err error }

func (e *InvalidError) Error() string { return e.Err.Error() }
func (e *InvalidError) Unwrap() error { return e.Err }

// invalid is nil for nil.
func invalid(err error) error {
	if err == nil {
		return nil
	}
	return &InvalidError{err}
}
