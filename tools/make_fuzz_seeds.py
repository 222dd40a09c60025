"""Writes short tones in every format, for fuzz-audio to begin with; the repository keeps no sound.

Usage: python tools/make_fuzz_seeds.py FOLDER, with the packages of tools/requirements.txt.
"""
import pathlib
import sys

import numpy as np
import soundfile as sf

FORMATS = [
    ("WAV", "PCM_16", 8000), ("WAV", "PCM_24", 48000), ("WAV", "FLOAT", 16000), ("WAV", "IMA_ADPCM", 16000),
    ("WAV", "MS_ADPCM", 16000), ("WAV", "GSM610", 8000), ("WAVEX", "PCM_16", 16000), ("FLAC", "PCM_16", 16000),
    ("OGG", "OPUS", 16000), ("OGG", "VORBIS", 16000), ("MP3", "MPEG_LAYER_III", 16000), ("AIFF", "PCM_16", 22050),
    ("AU", "ULAW", 8000), ("CAF", "ALAC_16", 44100), ("W64", "PCM_16", 16000), ("RF64", "PCM_16", 16000),
    ("VOC", "PCM_16", 16000), ("NIST", "PCM_16", 16000), ("SVX", "PCM_16", 16000), ("PAF", "PCM_16", 16000),
    ("IRCAM", "PCM_16", 16000), ("AVR", "PCM_16", 16000), ("PVF", "PCM_16", 16000), ("HTK", "PCM_16", 16000),
    ("SDS", "PCM_16", 16000), ("XI", "DPCM_16", 44100), ("WVE", "ALAW", 8000),
]  # fmt: skip

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
tone = (0.3 * np.sin(0.3 * np.arange(800))).astype(np.float32)
for container, coding, rate in FORMATS:
    two_channels = (container, coding) == ("WAV", "PCM_16")
    sound = np.stack([tone, tone], 1)[:300] if two_channels else tone
    sf.write(folder / f"{container}-{coding}".lower(), sound, rate, format=container, subtype=coding)
