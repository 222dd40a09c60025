#!/bin/sh
# Trains the model that is built into the program, from the checkpoint and the two corpora. The same bits on the same
# machine. Build the program again afterwards.
#   tools/make_builtin.sh PATH_OF_SER DATA_DIR WHISPER_FOLDER
# Layers 2, 3 and 4, statistics of all frames and a strong penalty (c 30), because they travel best from corpus to
# corpus: see docs/model-card.md.
set -eu
ser=$1 data=$2 whisper=$3
here=$(cd "$(dirname "$0")/.." && pwd)
run=$(mktemp -d)
trap 'rm -rf "$run"' EXIT
"$ser" train --data EMODB+RAVDESS --data-dir "$data" --feature-type WHISPER --model-type linear --encoder "$whisper" \
  --preset best --layers 2,3,4 --pooling all --c 30 --split-fold 0 --embed-encoder --run "$run"
cp "$run/model.safetensors" "$here/src/model/builtin.safetensors"
sha256sum "$here/src/model/builtin.safetensors"
