package model

// checkWeights looks whether the files are still as long as they were, where the device reads them: what has been cut off
// within a page would read as zeros.
func (m *Model) checkWeights() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closed:
		return ErrClosed
	case !m.inPlace:
		return nil
	}
	return m.checkpoint.Check()
}

// explain names the file of the weights in an error that came from reading them.
func (m *Model) explain(err error) error {
	if err == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return err
	}
	return m.checkpoint.Explain(err)
}
