// Package decoder is GLM-4's arithmetic as a list of ops: the weights of all layers on a device, and the forward pass
// through them, which on every device is the same. It knows no files; package model fills in the weights of a
// checkpoint.
package decoder

import (
	"errors"

	"github.com/glm4-metal/glm4-metal/internal/backend"
)

// Weights are the matrices of a model on a device. Layers may share theirs.
type Weights struct {
	Embed  backend.Matrix
	Layers []Layer
	Norm   backend.Norm // before the head
	Head   backend.Matrix
}

// Layer is one decoder layer. The families with two norms have no PostAttn and no PostMLP.
type Layer struct {
	Input    backend.Norm // before the attention
	QKV      backend.QKV
	Out      backend.Matrix
	PostAttn *backend.Norm // on the attention's output
	MLP      backend.Norm  // before the MLP
	GateUp   backend.Matrix
	Down     backend.Matrix
	PostMLP  *backend.Norm // on the MLP's output
}

// Scratch are the activations of one step, for up to a number of tokens. Steps that use one may not run side by side.
type Scratch struct {
	Tokens backend.Tokens // room for the ids of a step
	H      backend.Buffer // [tokens, hidden] residual stream
	XN     backend.Buffer // [tokens, hidden] normed input of the next product
	Q      backend.Buffer // [tokens, heads·dim]
	A      backend.Buffer // [tokens, heads·dim] output of the attention
	Y      backend.Buffer // [tokens, hidden] output of a block, before it joins H
	Act    backend.Buffer // [tokens, ffn]
}

// Forward records one step: the span's tokens through all layers; their keys and values go into kv, and the logits of
// the last `rows` tokens into logits (none when rows is 0).
func (w *Weights) Forward(s backend.Stream, x *Scratch, kv backend.Cache, ids backend.Tokens, at backend.Span,
	logits backend.Buffer, rows int) {
	n := at.N
	s.Embed(x.H, x.XN, ids, n, w.Embed, w.Layers[0].Input)
	for i := range w.Layers {
		l := &w.Layers[i]
		s.QKV(x.Q, kv, i, x.XN, &l.QKV, at)
		s.Attend(x.A, x.Q, kv, i, at)
		s.Out(x.Y, x.A, l.Out, n)
		s.AddNorm(x.H, x.XN, x.Y, l.PostAttn, l.MLP, n)
		s.GateUp(x.Act, x.XN, l.GateUp, n)
		s.Down(x.Y, x.Act, l.Down, n)
		s.AddNorm(x.H, x.XN, x.Y, l.PostMLP, w.inputNorm(i+1), n)
	}
	if rows > 0 {
		s.Head(logits, x.XN, w.Head, n-rows, rows)
	}
}

// inputNorm is the norm in front of layer i, or of the head behind the last one.
func (w *Weights) inputNorm(i int) backend.Norm {
	if i < len(w.Layers) {
		return w.Layers[i].Input
	}
	return w.Norm
}

// NewScratch makes the activations of steps of up to some tokens.
func (w *Weights) NewScratch(d backend.Device, tokens int) (x *Scratch, err error) {
	_, hidden := w.Embed.Shape()
	_, width := w.Layers[0].Out.Shape()
	_, ffn := w.Layers[0].Down.Shape()
	x = &Scratch{}
	x.Tokens, err = d.NewTokens(tokens)
	for _, b := range []struct {
		to    *backend.Buffer
		width int
	}{{&x.H, hidden}, {&x.XN, hidden}, {&x.Q, width}, {&x.A, width}, {&x.Y, hidden}, {&x.Act, ffn}} {
		if err == nil {
			*b.to, err = d.NewBuffer(tokens * b.width)
		}
	}
	if err != nil {
		return nil, errors.Join(err, x.Close())
	}
	return x, nil
}

// Close frees the memory.
func (x *Scratch) Close() error {
	var errs []error
	if x.Tokens != nil {
		errs = append(errs, x.Tokens.Close())
	}
	for _, b := range []backend.Buffer{x.H, x.XN, x.Q, x.A, x.Y, x.Act} {
		if b != nil {
			errs = append(errs, b.Close())
		}
	}
	return errors.Join(errs...)
}
