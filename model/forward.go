package model

import (
	"github.com/glm4-metal/glm4-metal/internal/backend"
)

// weights are the matrices of a checkpoint on the device.
type weights struct {
	embed  backend.Matrix
	layers []layer
	norm   backend.Norm // before the head
	head   backend.Matrix
}

// layer is one decoder layer. The families with two norms have no postAttn and no postMLP.
type layer struct {
	input    backend.Norm // before the attention
	qkv      backend.QKV
	out      backend.Matrix
	postAttn *backend.Norm // on the attention's output
	mlp      backend.Norm  // before the MLP
	gateUp   backend.Matrix
	down     backend.Matrix
	postMLP  *backend.Norm // on the MLP's output
}

// scratch are the activations of one step, for up to chunk tokens.
type scratch struct {
	ids backend.Tokens // of a prefill's step
	h   backend.Buffer // [chunk, hidden] residual stream
	xn  backend.Buffer // [chunk, hidden] normed input of the next product
	q   backend.Buffer // [chunk, heads·dim]
	a   backend.Buffer // [chunk, heads·dim] output of the attention
	y   backend.Buffer // [chunk, hidden] output of a block, before it joins h
	act backend.Buffer // [chunk, ffn]
}

// forward records one step: the span's tokens through all layers; their keys and values go into kv, and the logits of
// the last `rows` tokens into logits (none when rows is 0).
func (m *Model) forward(s backend.Stream, kv backend.Cache, ids backend.Tokens, at backend.Span, logits backend.Buffer, rows int) {
	w, x, n := &m.weights, &m.scratch, at.N
	s.Embed(x.h, x.xn, ids, n, w.embed, w.layers[0].input)
	for i := range w.layers {
		l := &w.layers[i]
		s.QKV(x.q, kv, i, x.xn, &l.qkv, at)
		s.Attend(x.a, x.q, kv, i, at)
		s.Out(x.y, x.a, l.out, n)
		s.AddNorm(x.h, x.xn, x.y, l.postAttn, l.mlp, n)
		s.GateUp(x.act, x.xn, l.gateUp, n)
		s.Down(x.y, x.act, l.down, n)
		s.AddNorm(x.h, x.xn, x.y, l.postMLP, w.inputNorm(i+1), n)
	}
	if rows > 0 {
		s.Head(logits, x.xn, w.head, n-rows, rows)
	}
}

// inputNorm is the norm in front of layer i, or of the head behind the last one.
func (w *weights) inputNorm(i int) backend.Norm {
	if i < len(w.layers) {
		return w.layers[i].input
	}
	return w.norm
}
