#!/usr/bin/env python3
"""Exports a model whose weights exceed what one ONNX file holds (2 GB), and compares ONNX Runtime with 'ser predict' on a recording.

  tools/check_onnx_large.py build/ser RECORDING [--layers 28]

The encoder is as large as HuBERT's "xlarge" in width, of random weights, which are made here; 28 of its layers are 2.3 GB in fp32.
Takes about 4 GB of disk in TMPDIR and 6 GB of memory. More than 1e-4 between two scores is a failure. Last checked with onnx
1.17.0 and onnxruntime 1.20.1.
"""
import argparse, hashlib, json, os, resource, struct, subprocess, tempfile, wave

import numpy as np
import onnx
import onnxruntime

WIDTH, INNER, CONV, GROUPS, KERNEL = 1280, 5120, 512, 16, 128
LABELS = ["angry", "neutral", "sad"]
KERNELS, STRIDES = [10, 3, 3, 3, 3, 2, 2], [5, 2, 2, 2, 2, 2, 2]


def config(n_layers):
    return {"model_type": "hubert", "hidden_size": WIDTH, "intermediate_size": INNER, "num_hidden_layers": n_layers, "num_attention_heads": 16,
            "conv_dim": [CONV] * 7, "conv_kernel": KERNELS, "conv_stride": STRIDES, "conv_bias": True, "feat_extract_norm": "layer",
            "feat_extract_activation": "gelu", "feat_proj_layer_norm": True, "do_stable_layer_norm": True, "hidden_act": "gelu",
            "layer_norm_eps": 1e-5, "num_conv_pos_embeddings": KERNEL, "num_conv_pos_embedding_groups": GROUPS,
            "num_feat_extract_layers": 7, "conv_pos_batch_norm": False}


def shapes(n_layers):
    """Of all tensors, as the hub's checkpoints name them."""
    found = {}

    def linear(name, n_out, n_in):
        found[f"{name}.weight"], found[f"{name}.bias"] = (n_out, n_in), (n_out,)

    def norm(name, n):
        found[f"{name}.weight"], found[f"{name}.bias"] = (n,), (n,)

    for i, kernel in enumerate(KERNELS):
        found[f"feature_extractor.conv_layers.{i}.conv.weight"] = (CONV, CONV if i else 1, kernel)
        found[f"feature_extractor.conv_layers.{i}.conv.bias"] = (CONV,)
        norm(f"feature_extractor.conv_layers.{i}.layer_norm", CONV)
    norm("feature_projection.layer_norm", CONV)
    linear("feature_projection.projection", WIDTH, CONV)
    found["encoder.pos_conv_embed.conv.parametrizations.weight.original0"] = (1, 1, KERNEL)
    found["encoder.pos_conv_embed.conv.parametrizations.weight.original1"] = (WIDTH, WIDTH // GROUPS, KERNEL)
    found["encoder.pos_conv_embed.conv.bias"] = (WIDTH,)
    for i in range(n_layers):
        layer = f"encoder.layers.{i}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            linear(f"{layer}.attention.{part}", WIDTH, WIDTH)
        linear(f"{layer}.feed_forward.intermediate_dense", INNER, WIDTH)
        linear(f"{layer}.feed_forward.output_dense", WIDTH, INNER)
        norm(f"{layer}.layer_norm", WIDTH), norm(f"{layer}.final_layer_norm", WIDTH)
    norm("encoder.layer_norm", WIDTH)
    return found


def random_tensor(name, shape, rng):
    if "norm.weight" in name or "original0" in name:
        return np.ones(shape, np.float32)
    if name.endswith("bias"):
        return np.zeros(shape, np.float32)
    return rng.standard_normal(shape, np.float32) / np.float32(np.sqrt(np.prod(shape[1:])))


def write_safetensors(path, metadata, wanted, dtype, values):
    header, at = {"__metadata__": metadata}, 0
    for name, shape in wanted.items():
        end = at + int(np.prod(shape)) * np.dtype(dtype).itemsize
        header[name] = {"dtype": {"<f4": "F32", "<f2": "F16"}[dtype], "shape": list(shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for name, shape in wanted.items():
            f.write(values(name, shape).astype(dtype).tobytes())


def sha256(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        while block := f.read(1 << 22):
            h.update(block)
    return h.hexdigest()


def write_model(path, encoder, n_layers, rng):
    """A linear model on the encoder's last hidden state, with a random head."""
    n_in = 4 * WIDTH
    said = {"ser.format_version": "1", "ser.model_type": "linear", "ser.version": "0", "ser.labels": json.dumps(LABELS),
            "ser.features": json.dumps({"type": "HUBERT", "layers": [n_layers], "hop_length": 320, "pad": 0}),
            "ser.encoder_sha256": sha256(os.path.join(encoder, "model.safetensors")), "ser.provenance": "{}"}
    wanted = {"plain.mean": (n_in,), "plain.scale": (n_in,), "plain.weight": (len(LABELS), n_in), "plain.bias": (len(LABELS),), "plain.temperature": (1,)}
    fixed = {"plain.mean": 0, "plain.bias": 0, "plain.scale": 1, "plain.temperature": 1}
    write_safetensors(path, said, wanted, "<f4", lambda name, shape: np.full(shape, fixed[name], np.float32) if name in fixed
                      else rng.standard_normal(shape, np.float32) / np.float32(40))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ser")
    parser.add_argument("recording")
    parser.add_argument("--layers", type=int, default=28)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        encoder, model, exported = (os.path.join(folder, n) for n in ("encoder", "model.safetensors", "model.onnx"))
        os.mkdir(encoder)
        with open(os.path.join(encoder, "config.json"), "w") as f:
            json.dump(config(args.layers), f)
        write_safetensors(os.path.join(encoder, "model.safetensors"), {"format": "pt"}, shapes(args.layers), "<f2",
                          lambda name, shape: random_tensor(name, shape, rng))
        write_model(model, encoder, args.layers, rng)
        subprocess.run([args.ser, "export", "--format", "onnx", "--encoder", encoder, "-o", exported, model], check=True)
        sizes = {n: os.path.getsize(os.path.join(folder, n)) for n in sorted(os.listdir(folder)) if n.startswith("model.onnx")}
        print(f"exported by at most {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6:.1f} GB of memory:", sizes, flush=True)
        assert sum(sizes.values()) > 1 << 31 and len(sizes) == 2, sizes
        onnx.checker.check_model(exported, full_check=True)
        print("onnx's checker takes it, with shapes inferred", flush=True)
        sound = os.path.join(folder, "sound.wav")
        subprocess.run(["ffmpeg", "-v", "error", "-i", args.recording, "-ac", "1", "-ar", "16000", "-t", "5", sound], check=True)
        with wave.open(sound) as w:
            pcm = np.frombuffer(w.readframes(w.getnframes()), "<i2").astype(np.float32) / 32768
        said = json.loads(subprocess.run([args.ser, "predict", "--format", "json", "--precision", "fp32", "--model", model, "--encoder", encoder, sound],
                                         check=True, stdout=subprocess.PIPE).stdout)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC  # the others copy weights
        session = onnxruntime.InferenceSession(exported, options, providers=["CPUExecutionProvider"])
        scores = session.run(["scores"], {"waveform": pcm[None]})[0][0]
        worst = max(abs(float(s) - said["scores"][label]) for s, label in zip(scores, LABELS))
        print(f"ONNX Runtime: {scores}, ser: {said['scores']}, largest difference {worst:.3g}")
        assert worst <= 1e-4


main()
