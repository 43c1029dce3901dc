//go:build darwin || linux

package metal

// sendSizes sends a message whose two arguments are MTLSize by value. The System V ABI passes a struct of more than
// 16 bytes on the stack, whichever registers are free; call fills the registers first, hence the four zeros.
func sendSizes(id uintptr, s *selector, a, b Size) {
	send(id, s, 0, 0, 0, 0,
		uintptr(a.Width), uintptr(a.Height), uintptr(a.Depth),
		uintptr(b.Width), uintptr(b.Height), uintptr(b.Depth))
}
