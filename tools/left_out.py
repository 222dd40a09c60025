"""What the tools that ask the encoders of left-out corpora share (ser train --fine-tune --keep-encoders)."""
import os, shutil, subprocess

import numpy as np

LAYERS, WIDTH = 4, 512  # of Whisper base that the recipe reads
FOLDERS = {"EMODB": "emodb/wav", "RAVDESS": "ravdess", "CREMAD": "cremad/AudioWAV", "NEMO": "nemo/samples"}
TOLD = {"EMODB": "EMO-DB", "RAVDESS": "RAVDESS", "CREMAD": "CREMA-D", "NEMO": "nEMO"}


def name_of(path):
    return os.path.splitext(os.path.basename(path))[0]


def sounds_in(folder):
    return sorted(os.path.join(place, n) for place, _, names in os.walk(folder) for n in names if n.lower().endswith((".wav", ".flac", ".opus")))


def pooled(ser, run, target, scratch, paths):
    """(recordings, LAYERS * 2 * WIDTH): mean and deviation over time of each hidden state, by the encoder that did not hear target."""
    folder, rows = os.path.join(scratch, "frames"), []
    for i in range(0, len(paths), 50):  # a megabyte each
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        subprocess.run([ser, "extract", "--feature-type", "WHISPER", "--layers", "1,2,3,4", "--encoder", os.path.join(run, "encoder-without-" + target),
                        "--precision", "bf16", "-o", folder + "/", *paths[i:i + 50]], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for path in paths[i:i + 50]:
            frames = np.load(os.path.join(folder, name_of(path) + ".npy")).astype(float).reshape(-1, LAYERS, WIDTH)
            rows.append(np.stack([frames.mean(0), frames.std(0)], axis=1).reshape(-1))
    shutil.rmtree(folder, ignore_errors=True)
    return np.array(rows)


def least_head(z, logits):
    """The smallest weights, and the bias, that say logits (n, emotions) of z (n, features)."""
    bias = logits.mean(0)
    return np.linalg.solve(z @ z.T + 1e-6 * len(z) * np.eye(len(z)), logits - bias).T @ z, bias
