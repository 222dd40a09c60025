"""Writes tests/golden/features: a synthetic signal, and what librosa and transformers make of it.

Usage: python tools/make_golden_features.py tests/golden/features, with the packages of tools/requirements.txt.
All files are raw little-endian: signal.s16 16-bit samples at 16 kHz, the others float32, (frames, dims).
"""
import pathlib
import sys
import warnings

import librosa
import numpy as np
from transformers import WhisperFeatureExtractor

RATE = 16000
N_SAMPLES = 23957  # no multiple of any hop
SHORT = 700  # shorter than librosa's window of 2048
WHISPER_LENGTHS = [160, 199, 201, 320, 500]  # around half a window of 400 and below a window


def make_signal():
    """A chirp in noise, then noise 60 dB lower, then digital silence: the 80 dB floor must be met."""
    t = np.arange(N_SAMPLES) / RATE
    noise = np.random.default_rng(46).standard_normal(N_SAMPLES)
    x = 0.4 * np.sin(2 * np.pi * (100 * t + 2500 * t**2)) + 0.02 * noise
    x[14000:19000] = 2e-4 * noise[14000:19000]
    x[19000:] = 0
    return np.round(x * 32767).astype("<i2")


def log_mel(y, hop):
    mel = librosa.feature.melspectrogram(
        y=y, sr=RATE, n_fft=2048, hop_length=hop, n_mels=128, fmin=0, fmax=8000, pad_mode="constant"
    )
    return librosa.power_to_db(mel)


def whisper(y, n_mels, padding):
    """(frames, n_mels). torch refuses to reflect what is shorter than the pad, so short input takes
    transformers' own numpy path, which reflects as often as it takes."""
    extractor = WhisperFeatureExtractor(feature_size=n_mels)
    if padding == "do_not_pad" and len(y) <= 400:
        return extractor._np_extract_fbank_features(y[np.newaxis], "cpu")[0].T
    features = extractor(y, sampling_rate=RATE, padding=padding, truncation=False, return_tensors="np")
    return features["input_features"][0].T


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)

    def save(name, frames):
        np.ascontiguousarray(frames, "<f4").tofile(folder / f"{name}.f32")

    signal = make_signal()
    signal.tofile(folder / "signal.s16")
    y = signal.astype(np.float32) / 32768
    for hop in (320, 512):
        save(f"logmel_{hop}", log_mel(y, hop).T)
    save("mfcc_320", librosa.feature.mfcc(S=log_mel(y, 320), n_mfcc=96).T)
    warnings.simplefilter("ignore")  # librosa warns that the window is longer than the signal
    save("logmel_short_320", log_mel(y[:SHORT], 320).T)

    save("whisper_unpadded", whisper(y, 80, "do_not_pad"))
    padded = whisper(y, 80, "max_length")
    n_kept = N_SAMPLES // 160 + 3  # beyond it only padding: one value, which the test expects until 30 s
    assert (padded[n_kept:] == padded[n_kept - 1, 0]).all()
    save("whisper_padded", padded[:n_kept])
    for n in WHISPER_LENGTHS:
        save(f"whisper_{n}", whisper(y[:n], 80, "do_not_pad"))
    save("whisper_128_500", whisper(y[:500], 128, "do_not_pad"))


main()
