"""Reads annotations back by the parsers of the tools they are for, as far as those are installed:
pip install praat-parselmouth tgt pympi-ling pyannote.core pyannote.database webvtt-py pysrt audformat. Usage: test_annotation.py TEST-ANNOTATION"""
import importlib.util, os, subprocess, sys, tempfile

EXPECTED = [(0.1, 1.5, "happy"), (2.0, 3661.25, 'angry "x" <b> & -->'), (3661.25, 3662.0, "uncertain")]
tried = []


def has(module):
    return importlib.util.find_spec(module) is not None


def same(what, seen):
    tried.append(what)
    assert len(seen) == 3, (what, seen)
    for (start, end, label), (s, e, l) in zip(EXPECTED, seen):
        assert abs(start - s) < 1e-6 and abs(end - e) < 1e-6 and l.startswith(label), (what, seen)


with tempfile.TemporaryDirectory() as folder:
    subprocess.run([sys.argv[1], folder], check=True)
    path = lambda suffix: os.path.join(folder, "x" + suffix)
    if has("tgt"):
        import tgt
        tier = tgt.io.read_textgrid(path(".TextGrid"), include_empty_intervals=False).get_tier_by_name("emotion")
        same("tgt", [(float(i.start_time), float(i.end_time), i.text) for i in tier.intervals])
    if has("parselmouth"):
        import parselmouth
        grid = parselmouth.read(path(".TextGrid"))
        n = int(parselmouth.praat.call(grid, "Get number of intervals", 1))
        ask = lambda what, i: parselmouth.praat.call(grid, what, 1, i)
        same("parselmouth", [x for x in [(ask("Get start time of interval", i), ask("Get end time of interval", i),
                                          ask("Get label of interval", i)) for i in range(1, n + 1)] if x[2]])
    if has("pympi"):
        import pympi
        eaf = pympi.Elan.Eaf(path(".eaf"))
        same("pympi", [(a / 1000, b / 1000, v) for a, b, v in sorted(x[:3] for x in eaf.get_annotation_data_for_tier("emotion"))])
    if has("webvtt"):
        import html, webvtt
        seconds = lambda t: sum(float(x) * 60 ** i for i, x in enumerate(reversed(t.split(":"))))
        same("webvtt", [(seconds(c.start), seconds(c.end), html.unescape(c.raw_text)) for c in webvtt.read(path(".vtt"))])
    if has("pysrt"):
        import html, pysrt
        same("pysrt", [(c.start.ordinal / 1000, c.end.ordinal / 1000, html.unescape(c.text)) for c in pysrt.open(path(".srt"))])
    if has("pyannote") and has("pyannote.core"):
        from pyannote.core import Annotation, Segment
        annotation = Annotation()
        for line in open(path(".rttm")):
            f = line.split()
            assert len(f) == 10 and f[0] == "SPEAKER", f
            annotation[Segment(float(f[3]), float(f[3]) + float(f[4]))] = f[7].replace("_", " ")
        same("pyannote", [(s.start, s.end, l) for s, _, l in annotation.itertracks(yield_label=True)])
    if has("pyannote") and has("pyannote.database"):
        from pyannote.database.util import load_rttm
        (annotation,) = load_rttm(path(".rttm")).values()
        same("pyannote.database", [(s.start, s.end, l.replace("_", " ")) for s, _, l in annotation.itertracks(yield_label=True)])
    if has("audformat"):
        import audformat
        table = audformat.utils.read_csv(path(".csv"))
        same("audformat", [(s.total_seconds(), e.total_seconds(), l) for (_, s, e), l in zip(table.index, table.emotion)])

print("read back by:", ", ".join(tried) or "none is installed")
sys.exit(0 if tried else 77)
