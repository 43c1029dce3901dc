//go:build !metalsim

package main

import (
	"context"
	"errors"
)

func countSteps(context.Context, int) (stepReport, error) {
	return nil, errors.New("--counters needs the stand-in: go run -tags metalsim ./cmd/glm4-metal bench --counters")
}
