"""Writes tests/golden/encoder/NAME for each member of wav2vec 2.0's family: a tiny checkpoint with random weights
(config.json, preprocessor_config.json, model.safetensors in 16 bits) and what transformers makes of a signal,
states.safetensors: state_I_SAMPLES (frames, dims), one for each hidden state and length. hubert_base_bin is
hubert_base in the older form.

Usage: python tools/make_golden_encoder_family.py tests/golden/encoder, with the packages of
tools/requirements.txt.
"""
import json
import pathlib
import shutil
import sys

import torch
from make_golden_encoder import RATE, make_signal
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, Wav2Vec2FeatureExtractor

LENGTHS = [400, 6000, 16000]  # 1, 18 and 49 frames
SIZES = dict(
    hidden_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=80,
    conv_dim=[24] * 7,
    num_conv_pos_embeddings=16,
    num_conv_pos_embedding_groups=4,
    vocab_size=4,
    classifier_proj_size=4,
)
LARGE = dict(feat_extract_norm="layer", do_stable_layer_norm=True, conv_bias=True)
MEMBERS = {
    "hubert_base": ("hubert", {}, True),
    "hubert_large": ("hubert", {**LARGE, "num_conv_pos_embeddings": 15}, True),
    "hubert_plain": ("hubert", dict(feat_proj_layer_norm=False, conv_bias=True, layer_norm_eps=1e-3), False),
    "wav2vec2_base": ("wav2vec2", dict(num_attention_heads=2), True),
    "wav2vec2_xlsr": ("wav2vec2", LARGE, True),
    "wavlm_base": ("wavlm", dict(num_buckets=32, max_bucket_distance=40), False),
    "wavlm_large": ("wavlm", {**LARGE, "num_buckets": 24, "max_bucket_distance": 30}, True),
    "data2vec": ("data2vec-audio", dict(num_conv_pos_embeddings=3, conv_pos_kernel_size=7), True),
}


def randomise(model):
    """Weights that keep the signal's size, and norms and biases that differ from ones and zeros."""
    for name, p in model.named_parameters():
        small = p.dim() < 2 or "norm" in name or "gru" in name or "original0" in name
        deviation = 0.3 if small else 1.5 * p[0].numel() ** -0.5
        centre = 1.0 if small and ("norm.weight" in name or "original0" in name or "const" in name) else 0.0
        p.copy_((centre + deviation * torch.randn_like(p)).to(torch.float16).float())


def make(folder, model_type, options, do_normalize):
    torch.manual_seed(46)
    config = AutoConfig.for_model(model_type, **{**SIZES, **options})
    config._attn_implementation = "eager"
    model = AutoModel.from_config(config).eval()
    randomise(model)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.to(torch.float16).contiguous() for k, v in model.state_dict().items() if "masked_spec" not in k}
    save_file(tensors, folder / "model.safetensors")
    kept = {**config.to_diff_dict(), "model_type": model_type}
    (folder / "config.json").write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n")
    inputs = dict(feature_size=1, sampling_rate=RATE, do_normalize=do_normalize)
    (folder / "preprocessor_config.json").write_text(json.dumps(inputs) + "\n")
    extractor = Wav2Vec2FeatureExtractor(**inputs)
    states = {}
    for n in LENGTHS:
        x = extractor(make_signal(n), sampling_rate=RATE, return_tensors="pt")["input_values"]
        out = model(x, output_hidden_states=True)
        # The last one includes the final norm; transformers 5 leaves it out of hidden_states, unlike 4.
        for i, h in enumerate([*out.hidden_states[:-1], out.last_hidden_state]):
            states[f"state_{i}_{n}"] = h[0].contiguous()
    save_file(states, folder / "states.safetensors")


def make_bin(folder, source):
    """The same checkpoint as people had it before: torch.save, the older spelling of weight norm, a prefix."""
    older = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    state = {}
    for name, tensor in load_file(source / "model.safetensors").items():
        for new, old in older.items():
            name = name.replace(new, old)
        state[f"hubert.{name}"] = tensor
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(state, folder / "pytorch_model.bin")
    for name in ("config.json", "preprocessor_config.json"):
        shutil.copy(source / name, folder / name)


if __name__ == "__main__":
    out = pathlib.Path(sys.argv[1])
    with torch.no_grad():
        for name, (model_type, options, do_normalize) in MEMBERS.items():
            make(out / name, model_type, options, do_normalize)
    make_bin(out / "hubert_base_bin", out / "hubert_base")
