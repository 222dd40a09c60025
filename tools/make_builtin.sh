#!/bin/sh
# Trains the model that is built into the program, or one of other corpora by the same recipe: the same bits on the same
# machine. Its trainings are 6,000 batches in all: 95 minutes on two cores with AVX-512 and bf16, beside other work. Build
# the program again afterwards.
#   tools/make_builtin.sh PATH_OF_SER DATA_DIR WHISPER_FOLDER [CORPORA [MODEL]]
# Without CORPORA: all four, into src/model/builtin.safetensors. CREMAD alone, whose terms (ODbL) allow commercial use, gives six
# emotions, calibrated on speakers left out; into models/cremad.safetensors. The figures of these two go into docs/.
set -eu
ser=$1 data=$2 whisper=$3
here=$(cd "$(dirname "$0")/.." && pwd)
corpora=${4:-EMODB+RAVDESS+CREMAD+NEMO} model=${5:-$here/src/model/builtin.safetensors}
run=$(mktemp -d)
trap 'rm -rf "$run"' EXIT
"$ser" train --data "$corpora" --data-dir "$data" --feature-type WHISPER --model-type linear --encoder "$whisper" \
  --layers 1,2,3,4 --fine-tune --fine-tune-steps 600 --fine-tune-soup 2 --split-fold 0 --precision bf16 --embed-encoder --pooling all \
  --preset best --c 30 --augment 0 --run "$run"
cp "$run/model.safetensors" "$model"
case $corpora in EMODB+RAVDESS+CREMAD+NEMO | CREMAD) "$here/tools/make_strangers.py" "$run/report.json" ;; esac
sha256sum "$model"
