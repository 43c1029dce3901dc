package loader

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// extraPrefixes begin the names of parts that stand beside a text model and take no part in its arithmetic.
var extraPrefixes = []string{
	"model.visual.", "visual.", "model.vision.", "transformer.vision.", "vision_tower.", "model.vision_tower.",
	"vision_model.", "model.vision_model.",
	"multi_modal_projector.", "model.multi_modal_projector.", "audio_tower.", "model.audio_tower.", "mtp.", "model.mtp.",
}

// mtpParts are the modules that a layer has beside those of a decoder layer if it predicts the token after the next one
// (multi-token prediction).
var mtpParts = []string{"eh_proj.", "enorm.", "hnorm.", "shared_head."}

// checkUnused refuses tensors that the model has no use for, as an answer without them would be another model's, except
// extras that are known to change nothing. mlx-lm does so too (load_weights with strict).
func (c *Checkpoint) checkUnused() error {
	mtp := c.mtpLayers()
	var refused []Tensor
	for _, t := range c.unused {
		if !c.extra(t.Name, mtp) {
			refused = append(refused, t)
		}
	}
	if len(refused) == 0 {
		return nil
	}
	const most = 3 // that are named
	t := refused[0]
	names := quote(t.Name)
	for _, other := range refused[1:min(most, len(refused))] {
		names += ", " + quote(other.Name)
	}
	if n := len(refused) - most; n > 0 {
		names += fmt.Sprintf(" and %d more", n)
	}
	at := fmt.Sprintf("%s/%s: tensor %s: ", c.Dir, t.File, names)
	const wayOut = "take the config.json that belongs to these weights"
	layer, rest, inLayer := c.layerOf(t.Name)
	switch {
	case inLayer && layer >= c.Config.Layers:
		return fmt.Errorf("%slayer %d is there, but %s in config.json is %d; %s",
			at, layer, c.Config.family().fields.layers, c.Config.Layers, wayOut)
	case inLayer && !c.Config.SandwichNorms && slices.Contains(sandwichNorms, strings.TrimSuffix(rest, ".weight")):
		return fmt.Errorf("%spart of a %s model, but model_type is %q in config.json; %s",
			at, sandwichType(), c.Config.ModelType, wayOut)
	case inLayer:
		return fmt.Errorf("%sno part of a %s model, which would compute something else without it; %s, or a program that "+
			"supports this architecture", at, c.Config.ModelType, wayOut)
	}
	return fmt.Errorf("%sno part of a %s model, nor known as an extra that may be left out; %s, or remove the tensor if "+
		"it is not needed", at, c.Config.ModelType, wayOut)
}

// extra reports whether a tensor that is not used is known to change nothing.
func (c *Checkpoint) extra(name string, mtp map[int]bool) bool {
	if strings.HasSuffix(name, ".inv_freq") { // a buffer of old versions of transformers, computed from the config
		return true
	}
	if part, ok := strings.CutPrefix(name, c.Config.place(module{name: lmHead}).stored+"."); ok && c.Config.TieEmbeddings {
		// decideTie has found them the same as the embedding's
		return part == "weight" || part == "scales" || part == "biases"
	}
	if slices.ContainsFunc(extraPrefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
		return true
	}
	layer, _, ok := c.layerOf(name)
	return ok && mtp[layer]
}

// mtpLayers are the layers behind the last one of the decoder that belong to multi-token prediction, as their parts
// show.
func (c *Checkpoint) mtpLayers() map[int]bool {
	layers := map[int]bool{}
	for _, t := range c.unused {
		layer, rest, ok := c.layerOf(t.Name)
		if ok && layer >= c.Config.Layers &&
			slices.ContainsFunc(mtpParts, func(p string) bool { return strings.HasPrefix(rest, p) }) {
			layers[layer] = true
		}
	}
	return layers
}

// layerOf splits the stored name of a tensor in a decoder layer.
func (c *Checkpoint) layerOf(name string) (layer int, rest string, ok bool) {
	number, found := strings.CutPrefix(name, c.Config.family().layers)
	if !found {
		return 0, "", false
	}
	number, rest, _ = strings.Cut(number, ".")
	layer, err := strconv.Atoi(number)
	return layer, rest, err == nil
}

// packings are the tensors that other quantisations leave, and adapters.
var packings = []struct {
	parts []string // of names, between points
	what  string
}{
	{[]string{"lora_A", "lora_B", "lora_a", "lora_b", "lora_embedding_A", "lora_embedding_B", "lora_magnitude_vector"},
		"belongs to a LoRA adapter, which cannot be applied here; merge it into its model with mlx_lm.fuse or peft's " +
			"merge_and_unload"},
	{[]string{"g_idx"}, "is of a model packed by GPTQ: " + wayOut},
	{[]string{"qweight", "qzeros"}, "is of a model packed by GPTQ or AWQ: " + wayOut},
	{[]string{"weight_packed"}, "is of a model packed by compressed-tensors: " + wayOut},
	{[]string{"weight_scale_inv", "weight_scale", "input_scale"}, "is of a model in FP8 or another scaled format: " +
		wayOut},
	{[]string{"absmax", "quant_map", "nested_absmax", "nested_quant_map", "quant_state", "SCB"},
		"is of a model packed by bitsandbytes: " + wayOut},
}

// checkPacking names a quantisation that cannot be read, or an adapter, by the tensors that it leaves, before one is
// missed that it lacks.
func (c *Checkpoint) checkPacking() error {
	tensors := c.Tensors()
	for _, p := range packings {
		for _, t := range tensors {
			for _, part := range strings.Split(t.Name, ".") {
				if slices.Contains(p.parts, part) {
					return fmt.Errorf("%s/%s: tensor %s %s", c.Dir, t.File, quote(t.Name), p.what)
				}
			}
		}
	}
	for _, t := range tensors {
		if _, _, inLayer := c.layerOf(t.Name); inLayer && (t.DType == F8E4M3 || t.DType == F8E5M2) {
			return fmt.Errorf("%s/%s: tensor %s is in FP8 (%s): %s", c.Dir, t.File, quote(t.Name), t.DType, wayOut)
		}
	}
	return nil
}
