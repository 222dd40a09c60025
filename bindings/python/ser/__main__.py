"""``python -m ser``: the command line, which is a program beside this file, or in PATH where only the libraries lie there."""

from __future__ import annotations

import os
import shutil
import sys


def main() -> None:
    beside = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bin", "ser")
    named = os.environ.get("SER_PROGRAM")
    program = named or (beside if os.path.exists(beside) else _in_path())
    if not program:
        sys.exit("ser: the program is not installed beside the Python package: install it, or set SER_PROGRAM")
    try:
        os.execv(program, ["ser", *sys.argv[1:]])
    except OSError as e:
        sys.exit(f"ser: {program}: it cannot be run ({e.strerror})")


def _in_path() -> str | None:
    """Not this package's own script of the same name."""
    own = os.path.realpath(sys.argv[0])
    for folder in os.get_exec_path():
        found = shutil.which("ser", path=folder)
        if found and os.path.realpath(found) != own:
            return found
    return None


if __name__ == "__main__":
    main()
