"""ser predict --timeline in formats of other tools. Usage: test_annotations.py SER"""
import os, subprocess, sys, tempfile

program = sys.argv[1]
recordings = [os.path.join(os.environ.get("SER_SHARED", ""), "data/emodb/wav", name) for name in ("03a01Wa.flac", "03a01Fa.flac")]
if not all(map(os.path.exists, recordings)):
    sys.exit(77)


def ser(*arguments):
    r = subprocess.run([program, "predict", "--jobs", "1", *arguments], capture_output=True, text=True)
    return r.returncode, r.stdout, r.stderr


def check(what, condition, *seen):
    assert condition, f"{what}: {seen}"


code, out, err = ser("--timeline", "--format", "srt", recordings[0])
check("srt", code == 0 and out.startswith("1\n00:00:0") and "-->" in out, code, out, err)
code, out, _ = ser("--timeline", "--format", "rttm", *recordings)
check("rttm holds both", code == 0 and len({line.split()[1] for line in out.splitlines()}) == 2, out)
code, out, _ = ser("--timeline", "--format", "audformat", *recordings)
check("audformat has one header", code == 0 and out.count("file,start,end,emotion") == 1 and len(out.splitlines()) >= 3, out)
code, _, err = ser("--format", "textgrid", recordings[0])
check("without --timeline", code == 2 and "--timeline" in err, code, err)
code, out, err = ser("--timeline", "--format", "textgrid", *recordings)
check("several without a folder", code == 2 and "-o FOLDER" in err and not out, code, err)
with tempfile.TemporaryDirectory() as folder:
    there = os.path.join(folder, "there")
    code, out, err = ser("--timeline", "--format", "textgrid", "-o", there, *recordings)
    check("a file each", code == 0 and sorted(os.listdir(there)) == ["03a01Fa.TextGrid", "03a01Wa.TextGrid"] and not out, code, err)
    before = open(os.path.join(there, "03a01Wa.TextGrid")).read()
    check("whole", before.startswith('File type = "ooTextFile"') and '"emotion"' in before, before)
    code, _, err = ser("--timeline", "--format", "textgrid", "-o", there, *recordings)
    check("nothing is overwritten", code != 0 and "there already" in err, code, err)
