//go:build metalsim

package gpu

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/glm4-metal/glm4-metal/internal/metalsim"
	"github.com/glm4-metal/glm4-metal/metal"
)

// macVariable is the environment variable that makes the stand-in a Mac's GPU, which is taken unless told otherwise. It
// holds limits of [metalsim.SetLimit], such as "family=1005 residencySets=0", or nothing.
const macVariable = "GLM4_METALSIM_MAC"

var mac, isMac = os.LookupEnv(macVariable)

// Preferred is false, as a rule: the stand-in is there for whoever asks for it.
var Preferred = isMac

// System builds the stand-in, where it is not in the user's cache yet, and opens it.
func System() (*metal.Metal, error) {
	path, err := metalsim.Library()
	if err != nil {
		return nil, err
	}
	for _, limit := range strings.Fields(mac) {
		name, text, _ := strings.Cut(limit, "=")
		value, err := strconv.ParseUint(text, 10, 64)
		if err == nil {
			err = metalsim.SetLimit(name, value)
		}
		if err != nil {
			return nil, fmt.Errorf("%s=%q: %s: %w", macVariable, mac, limit, err)
		}
	}
	return metal.OpenLibraries(path)
}
