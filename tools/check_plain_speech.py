#!/usr/bin/env python3
"""What a program makes of plain read speech: how much of it gets neutral, calm or uncertain, how much another emotion at 60 %
and more. Recordings to try: Debian's asterisk-core-sounds-{en,es,fr}-wav and alsa-utils.

  tools/check_plain_speech.py SER RECORDING..."""
import json, subprocess, sys

lines = subprocess.run([sys.argv[1], "predict", "--format", "json", *sys.argv[2:]], capture_output=True, text=True).stdout.splitlines()
answers = [a for a in map(json.loads, lines) if a.get("scores")]
plain = ("neutral", "calm")
quiet = sum(a["label"] in plain or a["label"] == "uncertain" for a in answers)
strong = sum(max(a["scores"], key=a["scores"].get) not in plain and a["confidence"] >= 0.6 for a in answers)
print(f"{len(lines)} recordings, {len(answers)} with a voice: {100 * quiet / len(answers):.0f} % neutral, calm or uncertain; "
      f"{100 * strong / len(answers):.1f} % another emotion at 60 % and more")
