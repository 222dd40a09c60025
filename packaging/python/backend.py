"""meson-python's backend, whose wheels get the name that fits what is in them.

Nothing in the package is compiled against Python's own interface (ctypes calls plain C functions), so that one wheel serves every
Python; meson-python names it after the Python that builds, because libraries lie among the package's files.
"""
import os
import subprocess
import sys

import mesonpy
from mesonpy import *  # noqa: F401,F403 - the other hooks are its own


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    made = mesonpy.build_wheel(wheel_directory, config_settings, metadata_directory)
    named = subprocess.run([sys.executable, "-m", "wheel", "tags", "--python-tag", "py3", "--abi-tag", "none", "--remove",
                            os.path.join(wheel_directory, made)], check=True, stdout=subprocess.PIPE, text=True).stdout
    return os.path.basename(named.split()[-1])
