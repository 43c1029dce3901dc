//go:build !linux && !darwin

package machine

import (
	"io/fs"
	"runtime"
	"time"
)

func processor(fs.FS) string { return runtime.GOARCH }

func cores(fs.FS) int { return runtime.NumCPU() }

// memory and room are unknown.
func memory(fs.FS) (bytes int64, limit string) { return 0, "" }
func room(fs.FS) (bytes int64, limit string)   { return 0, "" }

func held(fs.FS) time.Duration { return 0 }
