package loader

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// jsonReader gives a JSON text to a decoder piece by piece, so that the decoder ends with ctx, however long a token is.
type jsonReader struct {
	ctx  context.Context
	data []byte
	at   int
	end  int // nothing behind it is read: what the decoder is at must end before it
}

// jsonPiece is what is decoded between two looks at the context.
const jsonPiece = 64 << 10

var errLongJSON = errors.New("a name or value is too long")

func (r *jsonReader) Read(p []byte) (int, error) {
	switch {
	case r.ctx.Err() != nil:
		return 0, r.ctx.Err()
	case r.at == len(r.data):
		return 0, io.EOF
	case r.at >= r.end:
		return 0, errLongJSON
	}
	n := copy(p, r.data[r.at:min(r.end, r.at+jsonPiece, len(r.data))])
	r.at += n
	return n, nil
}

// expect reads one token, which must be want.
func expect(dec *json.Decoder, want json.Delim) error {
	switch token, err := dec.Token(); {
	case err == io.EOF:
		return io.ErrUnexpectedEOF
	case err != nil:
		return err
	case token != want:
		return fmt.Errorf("%s stands where %s should", quote(fmt.Sprint(token)), want)
	}
	return nil
}
