package jinja

import (
	"context"
	"errors"
)

// What one rendering may cost. Published templates need a thousandth of it for an ordinary conversation.
const (
	maxWork  = 10_000_000 // units: a node evaluated, a value visited, or some dozen bytes looked at; about a second in all
	maxBytes = 64 << 20   // of texts, lists and dicts made, whether or not they are still needed

	maxDepth     = 2000 // of expressions and macros within each other
	maxDataDepth = 900  // of lists and dicts; about where Python gives up

	slotBytes  = 80  // a value in a list, with what it points to
	entryBytes = 200 // a key and its value in a dict or a namespace
)

var (
	errWork   = errors.New("the template asks for too much work")
	errMemory = errors.New("the template asks for too much memory")
	errDepth  = errors.New("the template nests too deeply")
)

// budget is what a rendering has left.
type budget struct {
	ctx    context.Context
	work   int64
	bytes  int64
	looked int64 // the work that was left when the context was last looked at
}

// pay takes the cost of what is about to be done.
func (b *budget) pay(work, bytes int) error {
	if b.work -= int64(work); b.work < 0 {
		return errWork
	}
	if b.bytes -= int64(bytes); b.bytes < 0 {
		return errMemory
	}
	if b.looked == 0 || b.looked-b.work > 10_000 {
		b.looked = b.work
		return b.ctx.Err()
	}
	return nil
}

// payScan pays for looking at n bytes.
func (b *budget) payScan(n int) error { return b.pay(1+n/16, 0) }

// payText pays for making a text of this size.
func (b *budget) payText(size int) error { return b.pay(1+size/32, size) }
