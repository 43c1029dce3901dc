package model

import (
	"context"
	"errors"

	"github.com/glm4-metal/glm4-metal/internal/fault"
)

// checkWeights looks whether the files are still as long as they were, where the device reads them: what has been cut
// off within a page would read as zeros.
func (m *Model) checkWeights(ctx context.Context) error {
	if err := m.take(ctx); err != nil {
		return err
	}
	defer m.leave()
	if !m.inPlace {
		return nil
	}
	return m.checkpoint.Check()
}

// explain names the file of the weights in an error that came from reading them.
func (m *Model) explain(err error) error {
	var f *fault.Error
	if !errors.As(err, &f) || m.take(context.Background()) != nil {
		return err
	}
	defer m.leave()
	return m.checkpoint.Explain(err)
}
