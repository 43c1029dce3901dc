//go:build !unix

package backendtest

func (b *bench) fault() {}
