package metal

// A BlitEncoder encodes copies and fills of buffers into a command buffer.
//
// Reference: https://developer.apple.com/documentation/metal/mtlblitcommandencoder?language=objc
type BlitEncoder struct{ Object }

// Copy copies size bytes. The two ranges must not overlap; on macOS offsets and size are multiples of 4.
//
// Reference:
// https://developer.apple.com/documentation/metal/mtlblitcommandencoder/copy(from:sourceoffset:to:destinationoffset:size:)?language=objc
func (e BlitEncoder) Copy(from Buffer, fromOffset int, to Buffer, toOffset, size int) {
	send(e.id, sel_copyFromBuffer_sourceOffset_toBuffer_destinationOffset_size,
		from.id, uintptr(fromOffset), to.id, uintptr(toOffset), uintptr(size))
}

// Fill sets length bytes from offset on to value; on macOS offset and length are multiples of 4.
//
// Reference:
// https://developer.apple.com/documentation/metal/mtlblitcommandencoder/fill(buffer:range:value:)?language=objc
func (e BlitEncoder) Fill(b Buffer, offset, length int, value byte) {
	// An NSRange goes by value in two integer registers on both architectures.
	send(e.id, sel_fillBuffer_range_value, b.id, uintptr(offset), uintptr(length), uintptr(value))
}

// SetLabel names the encoder for Metal's tools.
//
// Reference: https://developer.apple.com/documentation/metal/mtlcommandencoder/label?language=objc
func (e BlitEncoder) SetLabel(label string) { e.setLabel(label) }

// End ends the encoding.
//
// Reference: https://developer.apple.com/documentation/metal/mtlcommandencoder/endencoding()?language=objc
func (e BlitEncoder) End() { send(e.id, sel_endEncoding) }
