#!/usr/bin/env python3
"""Writes src/model/voice_activity.safetensors: the 16 kHz weights of Silero VAD 6 from silero_vad.onnx of the package
silero-vad, under the names of the package's own silero_vad_16k.safetensors. That file is not taken as it is: in
version 6.2.3 its numbers are of another training than those of the four ONNX files, which is what users run.

  python tools/make_voice_weights.py src/model/voice_activity.safetensors

with the packages of tools/requirements-voice.txt (pip install --no-deps: silero-vad would bring torch along).
"""
import importlib.util
import pathlib
import sys

import onnx
from onnx import numpy_helper
from safetensors.numpy import save_file

NAMES = {
    "stft.forward_basis_buffer": "stft_conv.weight",
    "encoder.0.reparam_conv.": "conv1.",
    "encoder.1.reparam_conv.": "conv2.",
    "encoder.2.reparam_conv.": "conv3.",
    "encoder.3.reparam_conv.": "conv4.",
    "decoder.rnn.": "lstm_cell.",
    "decoder.decoder.2.": "final_conv.",
}
N_TENSORS = 15


def constants(graph):
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH and attribute.name == "then_branch":  # 16 kHz
                yield from constants(attribute.g)
            if node.op_type == "Constant" and attribute.type == onnx.AttributeProto.TENSOR:
                yield node.output[0], numpy_helper.to_array(attribute.t)
    for tensor in graph.initializer:
        yield tensor.name, numpy_helper.to_array(tensor)


package = pathlib.Path(importlib.util.find_spec("silero_vad").origin).parent / "data"
tensors = {}
for name, values in constants(onnx.load(package / "silero_vad.onnx").graph):
    for theirs, ours in NAMES.items():
        if theirs in name:
            tensors[ours + name.split(theirs, 1)[1]] = values
if len(tensors) != N_TENSORS:
    sys.exit("found %d tensors, not %d: %s" % (len(tensors), N_TENSORS, sorted(tensors)))
save_file(tensors, sys.argv[1], {"source": "Silero VAD 6.2.3, silero_vad.onnx, 16 kHz; MIT License, Silero Team"})
