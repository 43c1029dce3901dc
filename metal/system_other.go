//go:build !darwin

package metal

// systemVersion is that of macOS only.
func systemVersion() string { return "" }
