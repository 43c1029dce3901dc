package hub

import (
	"cmp"
	"errors"
	"path/filepath"

	"github.com/glm4-metal/glm4-metal/loader"
)

// Open makes a Hub of the environment that knows the families of GLM-4.
func Open() (*Hub, error) {
	s, err := FromEnvironment()
	if err != nil {
		return nil, err
	}
	h := New(s)
	h.Describe = describe
	return h, nil
}

// describe is for Hub.Describe.
func describe(name string, config []byte) (family string, bits int, err error) {
	c, err := loader.ParseConfig(filepath.Dir(name), config)
	if errors.Is(err, errors.ErrUnsupported) {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, err
	}
	return c.ModelType, cmp.Or(c.Quantization.Bits, c.Sizes().Bits), nil
}

// Repository gives the org/name that a short name, or a repository's with or without a revision, stands for; ok is
// false for others, such as paths.
func Repository(name string) (id string, ok bool) {
	r, err := parseName(name)
	if err != nil || looksLikePath(name) {
		return "", false
	}
	return r.id(), true
}
