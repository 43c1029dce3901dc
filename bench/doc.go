// Package bench measures how many tokens a second a model computes, and what its device would allow:
//
//	rows, err := bench.Run(ctx, "GLM-4-9B-0414-4bit", bench.Options{})
//	if err != nil { ... }
//	err = bench.Write(os.Stdout, "md", rows)
//
// # What is measured
//
// A [Test] is a prompt (pp512), a generation (tg128) or both, behind an empty cache or one of some depth, as in
// llama-bench, whose names for tests and columns a [Row] has, so that results stand beside each other. [Run] tells how.
// The files:
//
//	row, run, turns, samples, statistics   one model, its tests by turns
//	machine, build                         on what, and by which program
//	probe, bandwidth                       what the device gives at its best, in the same minutes
//	shape, roofline, project               what that allows a model, also one that is not here
//	fields, write, markdown, results, record, compare
//	                                       tables, files of results, ratios
//
// # What the limit is
//
// [Limits.Limit] is the least time that a device needs: for each step the larger of reading the weights and of
// multiplying with them, the same for attention, and the launches. A row has the share of that which was reached.
// [Project] turns it round: the share that recorded runs reached, times the limit of a model, is what the model will
// do.
//
// # What a figure is worth
//
// Machines throttle and have other guests. A row names what was known of that, gives the median beside the mean, and
// the first repetition beside the last. Two versions are compared by turns in the same minutes, never by figures of
// different days. What the GEMV kernels cost on Apple's instruction set is counted without a Mac: see agx.md.
package bench
