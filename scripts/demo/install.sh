#!/bin/sh
# Converts a trained checkpoint to 4 bit with mlx-lm and installs it as the
# embedded demo: sh scripts/demo/install.sh TRAINED
set -eu
trained=$1
here=$(cd "$(dirname "$0")" && pwd)
checkpoint=$here/../../internal/demo/checkpoint
mlx=$(mktemp -d)/mlx

# the tokenizer files stay as train_tokenizer.py wrote them
cp "$checkpoint/tokenizer.json" "$checkpoint/tokenizer_config.json" "$checkpoint/chat_template.jinja" "$trained/"
python -m mlx_lm convert --hf-path "$trained" --mlx-path "$mlx" -q --q-bits 4 --q-group-size 64
for f in config.json model.safetensors model.safetensors.index.json; do
	cp "$mlx/$f" "$checkpoint/"
done
cp "$trained/generation_config.json" "$checkpoint/"
rm -r "$mlx"
ls -l "$checkpoint"
