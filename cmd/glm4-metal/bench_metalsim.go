//go:build metalsim

package main

import (
	"context"

	"github.com/glm4-metal/glm4-metal/internal/metalsim/counters"
)

func countSteps(ctx context.Context, cached int) (stepReport, error) {
	return counters.Run(ctx, cached)
}
