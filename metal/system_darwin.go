package metal

import "syscall"

// SystemVersion is the version of macOS, such as "15.6.1"; "" when it is unknown.
func SystemVersion() string {
	version, err := syscall.Sysctl("kern.osproductversion")
	if err != nil {
		return ""
	}
	return version
}
