// Package counters counts what the kernels do in a step of GLM-4-9B with 4-bit weights: dispatches, command buffers,
// and for each kernel its traffic with device memory. These are the figures of performance that can be had without a
// Mac.
//
// [Run] records two steps through the GPU backend, exactly as package model does for a decoded token and for a prompt:
// all layers are encoded for internal/metalsim, the Metal stand-in, which puts every dispatch on record. To compute
// them all there, with every access counted, would take hours. So each different dispatch is counted once and stands
// for all that are equal (scale.go): the 40 layers differ in nothing that is counted, and the products of a prompt are
// many equal tiles. None of this is an estimate: the tests hold it against steps that are counted whole.
//
// Report and Step say what each figure is. The stand-in runs on Linux only; the shipped program contains neither it nor
// Run.
package counters
