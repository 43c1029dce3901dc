//go:build !((darwin || linux) && (amd64 || arm64))

package metal

import (
	"fmt"
	"runtime"
)

// On these systems load fails, so no handle ever exists to send anything to.

var functions struct {
	autoreleasePoolPush, autoreleasePoolPop   uintptr
	createSystemDefaultDevice, copyAllDevices uintptr
}

func load(paths []string) error {
	return fmt.Errorf("cannot load %v on %s/%s", paths, runtime.GOOS, runtime.GOARCH)
}

func call(function uintptr, args ...uintptr) uintptr { return 0 }

func send(id uintptr, s *selector, args ...uintptr) uintptr { return 0 }

func sendWithPointers(id uintptr, s *selector, args ...uintptr) uintptr { return 0 }

func sendDouble(id uintptr, s *selector) float64 { return 0 }

func sendSizes(id uintptr, s *selector, a, b Size) {}
