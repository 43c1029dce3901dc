//go:build !darwin

package machine

import "io/fs"

func systemTicks(root fs.FS) (t ticks, ok bool) { return procTicks(root) }
