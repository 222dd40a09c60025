#!/bin/sh
# Exported models in ONNX Runtime, against ser_predict: test_onnx.sh TEST-EXPORT-ONNX CHECK-ONNX. PYTHON: another python3.
set -eu
python=${PYTHON:-python3}
"$python" -c 'import numpy, onnx, onnxruntime' 2>/dev/null || exit 77
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$1" "$folder"
"$python" "$2" "$folder"
