#!/usr/bin/env python3
"""Makes README.md's pictures anew, in docs/pictures: what a person sees of ser.

  tools/make_pictures.py [--ser build/ser] [--shared ../shared] [answer] [timeline] [report]     (default: all three)

answer.svg is a terminal, timeline.svg what 'ser predict --picture' draws of voices from EMO-DB, one behind the other,
report.png a report of 'ser evaluate' on EMO-DB in a browser. SHARED has emodb/wav below data/ and whisper-base below models/.
Needs ffmpeg and chromium.
"""
import argparse
import html
import os
import pty
import re
import subprocess
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "..", "docs", "pictures")
RATE = 16000


# ---- a terminal ----

def run_in_terminal(command, folder, columns=72):
    """What a terminal shows: lines of (text, bold) pieces. Lines that progress drew and cleared are gone."""
    leader, follower = pty.openpty()
    subprocess.run(["stty", "cols", str(columns), "rows", "40"], stdin=follower, check=True)
    process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=follower, stderr=follower,
                               env={**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns)})
    os.close(follower)
    shown = b""
    try:
        while part := os.read(leader, 1 << 16):
            shown += part
    except OSError:  # its other end is closed
        pass
    if process.wait() != 0:
        raise SystemExit(shown.decode())
    lines, bold = [], False
    for line in shown.decode().replace("\r\n", "\n").split("\n"):
        line, pieces = line.split("\r\x1b[K")[-1], []
        for i, piece in enumerate(re.split(r"\x1b\[([0-9;]*)m", line)):
            if i % 2:
                bold = piece == "1"
            elif piece:
                pieces.append((piece, bold))
        lines.append(pieces)
    while lines and not lines[-1]:
        lines.pop()
    return lines


def draw_terminal(path, sessions, columns):
    """sessions: (command as typed, lines)."""
    width, height, left, top = 8.4, 19, 20, 52
    rows = []
    for typed, lines in sessions:
        rows += [[("$ ", "prompt"), (typed, "typed")]] + [[(t, "bold" if b else "plain") for t, b in line] for line in lines] + [[]]
    rows.pop()
    w, h = round(2 * left + columns * width), round(top + len(rows) * height + 8)
    colours = {"prompt": "#7ee787", "typed": "#ffffff", "bold": "#ffffff", "plain": "#c9d1d9"}
    svg = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{w}" height="{h}" viewBox="0 0 {w} {h}">',
           f'<rect width="{w}" height="{h}" rx="8" fill="#0d1117"/>']
    svg += [f'<circle cx="{20 + 20 * i}" cy="20" r="6" fill="{c}"/>' for i, c in enumerate(("#ff5f57", "#febc2e", "#28c840"))]
    svg.append('<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,\'DejaVu Sans Mono\',monospace" font-size="14" '
               'xml:space="preserve">')
    for r, row in enumerate(rows):
        x = 0
        for text, kind in row:
            n = len(text)
            # Bars are drawn: fonts' blocks leave gaps.
            for bar in re.finditer("[█▏▎▍▌▋▊▉]+", text):
                eighths = sum(8 if c == "█" else "▏▎▍▌▋▊▉".index(c) + 1 for c in bar.group())
                svg.append(f'<rect x="{left + (x + bar.start()) * width:.1f}" y="{top + r * height - 11.5:.1f}" '
                           f'width="{eighths * width / 8:.1f}" height="13" rx="1" fill="{colours[kind] if kind == "bold" else "#8b949e"}"/>')
            for word in re.finditer(r"[^\s█▏▎▍▌▋▊▉]+( [^\s█▏▎▍▌▋▊▉]+)*", text):
                weight = ' font-weight="bold"' if kind == "bold" else ""
                svg.append(f'<text x="{left + (x + word.start()) * width:.1f}" y="{top + r * height}" fill="{colours[kind]}"{weight} '
                           f'textLength="{len(word.group()) * width:.1f}">{html.escape(word.group())}</text>')
            x += n
    svg += ["</g>", "</svg>", ""]
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(svg))


def make_answer():
    folder, name = os.path.join(args.shared, "data", "emodb", "wav"), "16a04Wc.flac"
    draw_terminal(os.path.join(OUT, "answer.svg"),
                  [(f"ser predict {name}", run_in_terminal([ser, "predict", name], folder))], 64)


# ---- a timeline ----

# A man and a woman of EMO-DB in turn, in another emotion each time: as the labels have it neutral, anger, sadness, happiness,
# fear, anger.
TALK = ["08a01Na", "11a04Wc", "08a02Tb", "11a05Fb", "08a02Ac", "11a02Wc"]
PAUSE_S = 0.9


def make_timeline():
    folder, samples = os.path.join(args.shared, "data", "emodb", "wav"), b""
    for name in TALK:
        decoded = subprocess.run(["ffmpeg", "-v", "error", "-i", os.path.join(folder, name + ".flac"), "-f", "s16le", "-ar",
                                  str(RATE), "-ac", "1", "-"], check=True, stdout=subprocess.PIPE).stdout
        samples += decoded + bytes(2 * int(PAUSE_S * RATE))
    with tempfile.TemporaryDirectory() as work:
        talk = os.path.join(work, "talk.wav")
        subprocess.run(["ffmpeg", "-v", "error", "-f", "s16le", "-ar", str(RATE), "-ac", "1", "-i", "-", talk], input=samples, check=True)
        subprocess.run([ser, "predict", "--quiet", "--timeline", "--picture", os.path.join(OUT, "timeline.svg"), talk], check=True,
                       stdout=subprocess.DEVNULL)


# ---- a report ----

def make_report():
    with tempfile.TemporaryDirectory() as work:
        page, picture = os.path.join(work, "report.html"), os.path.join(work, "report.png")
        corpus = os.path.join(work, "raw")
        os.mkdir(corpus)
        os.symlink(os.path.join(args.shared, "data", "emodb"), os.path.join(corpus, "emodb"))
        subprocess.run([ser, "evaluate", "--data", "EMODB", "--data-dir", corpus, "--feature-type", "WHISPER", "--protocol", "loso",
                        "--encoder", os.path.join(args.shared, "models", "whisper-base"), "--run", os.path.join(work, "run"),
                        "--html", page], check=True, cwd=work)
        subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1000,1060",
                        "--force-device-scale-factor=1", f"--screenshot={picture}", "file://" + page], check=True,
                       stderr=subprocess.DEVNULL)
        # Few colours are in it: a palette makes it a third as large.
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", picture, "-vf",
                        "split[a][b];[a]palettegen=max_colors=128[p];[b][p]paletteuse=dither=none",
                        os.path.join(OUT, "report.png")], check=True)


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--ser", default=os.path.join(HERE, "..", "build", "ser"))
parser.add_argument("--shared", default=os.path.join(HERE, "..", "..", "shared"))
parser.add_argument("pictures", nargs="*", metavar="answer|timeline|report", default=["answer", "timeline", "report"])
args = parser.parse_args()
ser, args.shared = os.path.abspath(args.ser), os.path.abspath(args.shared)
os.makedirs(OUT, exist_ok=True)
for name in args.pictures:
    {"answer": make_answer, "timeline": make_timeline, "report": make_report}[name]()
