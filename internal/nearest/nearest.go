// Package nearest finds the name that was meant by one that is not there.
package nearest

import (
	"strings"

	"github.com/xrash/smetrics"
)

// Name is the one of names that a typing error is most likely to have been, "" where none is near: two letters may
// differ in a longer name, one in a short one, or the end may be missing.
func Name(typed string, names []string) string {
	best, least := "", 3
	for _, name := range names {
		if len(name) < 3 || len(typed) < 3 {
			continue
		}
		d := smetrics.WagnerFischer(typed, name, 1, 1, 1)
		if strings.HasPrefix(name, typed) {
			d = min(d, 2)
		}
		if d < least && (d == 1 || len(name) > 3) {
			best, least = name, d
		}
	}
	return best
}
