//go:build linux && (amd64 || arm64)

package counters

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/glm4-metal/glm4-metal/internal/metalsim"
	"github.com/glm4-metal/glm4-metal/shaders"
)

// A dispatch is one on record, with the op that it belongs to.
type dispatch struct {
	metalsim.Dispatch
	op    string
	roles []role // of its buffers
}

// A role is what a buffer is to an op, which decides how the bytes that are touched in it grow.
type role int

const (
	output    role = iota // grows with rows of the weights and with tokens
	arguments             // does not grow
	input                 // with tokens: all rows are multiplied with the same activations
	codes                 // with rows: all tokens are multiplied with the same weights
	scales                // and biases, and norms
	cached                // keys and values: as output
)

func (r role) weights() bool { return r == codes || r == scales }

// roles of the buffers, by their names in shaders.Table. The others are outputs.
var roles = map[string]role{
	"x": input, "ids": input, "rope": input,
	"w": codes, "wq": codes, "wk": codes, "wv": codes,
	"scales": scales, "wq_scales": scales, "wk_scales": scales, "wv_scales": scales,
	"biases": scales, "wq_biases": scales, "wk_biases": scales, "wv_biases": scales,
	"q_bias": scales, "k_bias": scales, "v_bias": scales, "norm": scales, "post": scales, "next": scales,
	"keys": cached, "values": cached,
}

var opName = regexp.MustCompile(`embed|qkv|attend|out|add_norm|gate_up|head|sample`)

// label finds the ops of the dispatches of a step.
func label(list []metalsim.Dispatch) ([]dispatch, error) {
	labelled := make([]dispatch, len(list))
	for i, d := range list {
		at := slices.IndexFunc(shaders.Table, func(k *shaders.Kernel) bool { return k.Name == d.Kernel })
		op := opName.FindString(d.Kernel)
		if at < 0 || op == "" {
			return nil, fmt.Errorf("kernel %s is not of shaders.Table", d.Kernel)
		}
		if op == "out" && i > 0 && (labelled[i-1].op == "gate_up" || labelled[i-1].op == "down") {
			op = "down"
		}
		labelled[i] = dispatch{d, op, make([]role, len(d.Buffers))}
		for j, b := range d.Buffers {
			labelled[i].roles[j] = arguments
			if b.Index > 0 {
				labelled[i].roles[j] = roles[shaders.Table[at].Buffers[b.Index-1]]
			}
		}
	}
	return labelled, nil
}

// groups is the grid in threadgroups.
func (d *dispatch) groups() (g [3]uint64) {
	for i := range g {
		g[i] = (d.Threads[i] + d.ThreadsPerThreadgroup[i] - 1) / d.ThreadsPerThreadgroup[i]
	}
	return g
}

// counters are all but the distinct bytes of buffers with a constant role, and those of the whole.
func (d *dispatch) counters(constant func(role) bool) []*uint64 {
	list := []*uint64{&d.Loads, &d.Stores, &d.LoadedBytes, &d.StoredBytes, &d.LoadLines, &d.LoadGroups,
		&d.ThreadgroupLoadedBytes,
		&d.ThreadgroupStoredBytes, &d.SIMDOps, &d.Barriers, &d.SimdgroupBarriers, &d.FloatOps}
	for i := range d.Buffers {
		b := &d.Buffers[i]
		list = append(list, &b.LoadedBytes, &b.StoredBytes)
		if !constant(d.roles[i]) {
			list = append(list, &b.DistinctBytes)
		}
	}
	return list
}

func (d *dispatch) sumDistinct() {
	d.DistinctBytes = 0
	for _, b := range d.Buffers {
		d.DistinctBytes += b.DistinctBytes
	}
}

// A term of a sum of dispatches.
type term struct {
	times int64
	of    dispatch
}

// sum adds up all counters of some dispatches of one kernel. Of buffers with a constant role every one touches the same
// bytes, which are those that the first one does.
func sum(constant func(role) bool, terms ...term) dispatch {
	total := terms[0].of
	total.Buffers = slices.Clone(total.Buffers)
	sums := total.counters(constant)
	for _, s := range sums {
		*s = 0
	}
	for _, t := range terms {
		for i, c := range t.of.counters(constant) {
			*sums[i] += uint64(t.times) * *c // modulo 2^64, which negative terms need
		}
	}
	total.sumDistinct()
	return total
}

func sameForAllRows(r role) bool   { return r == arguments || r == input }
func sameForAllTokens(r role) bool { return r == arguments || r.weights() }
func never(role) bool              { return false }

// A model gives the counters of a dispatch of which only the geometry is known, or nothing when it is about another
// one.
type model func(of *dispatch) (counted dispatch, ok bool)

// equal knows dispatches of the same geometry as one that was counted.
func equal(counted dispatch) model {
	return func(of *dispatch) (dispatch, bool) { return counted, of.Threads == counted.Threads }
}

// tiles knows products of any number of tiles, of which one was counted.
func tiles(tile dispatch) model {
	return func(of *dispatch) (dispatch, bool) {
		g := of.groups()
		return sum(sameForAllTokens, term{int64(g[1]), sum(sameForAllRows, term{int64(g[0]),
			tile})}), tile.groups() == [3]uint64{1, 1, 1}
	}
}

// heads knows the product that makes queries, keys and values for some query and KV heads and any number of tiles of
// tokens. Their tiles differ, so a tile of tokens was counted with one query and one KV head, and with two and one.
func heads(one, two dispatch, query, kv int64) model {
	return func(of *dispatch) (dispatch, bool) {
		g, a, b := of.groups(), one.groups(), two.groups()
		rows := sum(sameForAllRows, term{query - kv, two}, term{2*kv - query, one})
		fits := (query-kv)*int64(b[0])+(2*kv-query)*int64(a[0]) == int64(g[0])
		return sum(sameForAllTokens, term{int64(g[1]), rows}), fits && a[1] == 1 && b[1] == 1
	}
}

// prompts knows the attention of a prompt without a cache, of n, 2n, 3n, ... tokens, of which the first three were
// counted, n being a multiple of the keys that the kernel takes at a time. Each n tokens cost as much more than those
// before as they see n keys more: the counters are polynomials of degree 2.
func prompts(counted [3]dispatch) model {
	return func(of *dispatch) (dispatch, bool) {
		n, all := int64(counted[0].groups()[0]), int64(of.groups()[0])
		x := all/n - 1
		second := x * (x - 1) / 2
		fits := all%n == 0 && int64(counted[1].groups()[0]) == 2*n && int64(counted[2].groups()[0]) == 3*n
		return sum(never, term{1 - x + second, counted[0]}, term{x - 2*second, counted[1]}, term{second, counted[2]}), fits
	}
}
