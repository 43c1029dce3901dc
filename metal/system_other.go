//go:build !darwin

package metal

// SystemVersion is that of macOS only.
func SystemVersion() string { return "" }
