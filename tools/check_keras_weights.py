"""Checks that Keras reads what src/keras writes into the same network: the same logits to 1e-4.

    pip install -r tools/requirements-keras.txt
    build/tests/keras/make-keras-example /tmp/weights.h5 /tmp/example.safetensors
    python tools/check_keras_weights.py /tmp/weights.h5 /tmp/example.safetensors [--keras 2] [--back OUT.h5]

--keras 2 reads through Keras 2's interface (tf_keras). --back writes the network as Keras lays it out itself, for
ser to read.
"""
import argparse
import sys

import numpy as np
from safetensors import safe_open
from timnet_keras import build

TOLERANCE = 1e-4


def main():
    p = argparse.ArgumentParser()
    p.add_argument("weights")
    p.add_argument("example")
    p.add_argument("--keras", choices=["2", "3"], default="3")
    p.add_argument("--back")
    args = p.parse_args()
    if args.keras == "2":
        import tf_keras as keras
    else:
        import keras

    with safe_open(args.example, "numpy") as f:
        sizes = {k: v if k == "activation" else int(v) for k, v in f.metadata().items()}
        expected = f.get_tensor("logits")
        frames = [f.get_tensor(f"frames{i}") for i in range(len(expected))]
    network = build(keras, **sizes)
    network.load_weights(args.weights)
    logits = np.stack([network.predict(x[None], verbose=0)[0] for x in frames])
    difference = np.abs(logits - expected).max()
    print(f"Keras {keras.__version__}: {network.count_params():,} values, {len(frames)} recordings, "
          f"largest difference of the logits {difference:.2e} of {np.abs(expected).max():.2f}")
    if args.back:
        network.save_weights(args.back) if args.keras == "2" else network.save(args.back)
    return 0 if difference <= TOLERANCE else 1


sys.exit(main())
