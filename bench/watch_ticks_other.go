//go:build !darwin

package bench

import "io/fs"

func systemTicks(root fs.FS) (t ticks, ok bool) { return procTicks(root) }
