"""The page in a real browser. Skipped (77) where chromium and its driver are not. Usage: test_page.py SER"""
import csv, json, os, shutil, subprocess, sys, tempfile, time
from browser import END, ENTER, HOME, RIGHT, TAB, Browser, found
from service import Service, wav

program = sys.argv[1]
shared = os.path.realpath(os.environ.get("SER_SHARED", ""))  # the browser takes canonical paths alone
recordings = [os.path.join(shared, "data/emodb/wav", name) for name in ("03a01Wa.flac", "03a01Nc.flac")]
if not found() or not all(map(os.path.exists, recordings)):
    sys.exit(77)


def check(what, condition, *seen):
    assert condition, f"{what}: {seen}"


def upload(b, paths, n):
    b.type("#files", "\n".join(paths))
    b.wait(f"items.length == {n} && items.every(i => i.state != 'waiting' && (i.samples || i.mute || i.state == 'failed'))", "answers")


def rows(b):
    return b.run("return [...document.querySelectorAll('#rows tr')].map(r => [...r.children].map(c => c.textContent))")


def download(b, selector, path):
    b.click(selector)
    until = time.time() + 20
    while not os.path.exists(path) or not os.path.getsize(path) or os.path.exists(path + ".crdownload"):  # chromium takes the name first
        assert time.time() < until, f"{selector}: nothing was saved"
        time.sleep(0.1)
    return path


def live(program, folder):
    """The microphone is a recording; its answer appears while it plays, and the whole of it in the list afterwards."""
    if not shutil.which("ffmpeg"):
        return
    spoken = os.path.join(folder, "spoken.wav")
    subprocess.run(["ffmpeg", "-nostdin", "-loglevel", "error", "-i", recordings[0], "-ar", "48000", spoken], check=True)
    service = Service(program, "--log", "/dev/null")
    b = Browser("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", f"--use-file-for-fake-audio-capture={spoken}")
    try:
        b.open(f"http://127.0.0.1:{service.port}/")
        b.click("#live")
        b.wait("live && live.events.length > 0", "an event")
        check("bars", b.run("return document.querySelectorAll('#live-scores .bar').length") == 9)
        check("answer", b.text("#live-answer").strip() != "")
        b.click("#stop")
        b.wait("!live && items.length == 1 && items[0].state == 'done'", "the recording in the list")
        check("no complaints", not b.complaints(), b.complaints())
    finally:
        b.close()
        service.stop()


def keyboard(b):
    """Everything without a mouse, where the focus is seen, and has a name that a screen reader can say."""
    focus = "const e = document.activeElement; return [e.id || e.textContent, getComputedStyle(e).outlineStyle]"
    upload(b, recordings, 2)
    seen = []
    while not seen or (seen[-1][0] != "sound" and len(seen) < 30):
        b.press(TAB)
        seen.append(b.run(focus))
    check("order", [name for name, _ in seen] == ["choose", "live", "to-json", "to-csv", "clear", "Recording", "Length", "Emotion", "Confidence",
                                                  "03a01Wa.flac", "03a01Nc.flac", "out", "in", "to-png", "wave", "sound"], seen)
    check("seen", all(outline == "solid" for _, outline in seen), seen)
    b.run("document.querySelector('#rows tr:nth-child(2) button').focus()")
    b.press(ENTER)
    check("chosen", b.text("#name") == "03a01Nc.flac" and "03a01Nc.flac: neutral" in b.text("#status"), b.text("#status"))
    check("the focus stays", b.run(focus)[0] == "03a01Nc.flac", b.run(focus))
    b.run("document.querySelector('th button').focus()")
    b.press(" ")
    check("sorted", [r[0] for r in rows(b)] == ["03a01Nc.flac", "03a01Wa.flac"] and b.run(focus)[0] == "Recording", rows(b))
    b.run("document.querySelector('#wave').focus()")
    at = lambda: b.run("return [Number(document.getElementById('wave').getAttribute('aria-valuenow')), view.from, view.to, chosen.answer.duration]")
    b.press(RIGHT, RIGHT, "+")
    now, start, end, whole = at()
    check("moved and zoomed", 0 < now < whole and abs(end - start - whole / 2) < 1e-6, at())
    b.press(END)
    check("at the end, which is shown", abs(at()[0] - whole) < 0.2 and abs(at()[2] - whole) < 1e-6, at())
    b.press(HOME)
    said = b.run("return document.getElementById('wave').getAttribute('aria-valuetext')")
    check("said", any(word in said for word in ("neutral", "pause")), said)
    b.press(ENTER)
    b.wait("sound.currentTime > 0 && (!sound.paused || sound.ended)", "playing")
    tree = b.devtools("Accessibility.getFullAXTree")["nodes"]
    unnamed = [n["role"]["value"] for n in tree if not n["ignored"] and n["role"]["value"] in
               ("button", "slider", "table", "list", "region", "columnheader", "Audio", "group", "image") and not n["name"]["value"]]
    check("names", not unnamed, unnamed)


with tempfile.TemporaryDirectory() as folder:
    live(program, folder)
    silent = os.path.join(folder, "silence.wav")
    open(silent, "wb").write(wav([0.0] * 16000))
    broken = os.path.join(folder, "=broken.wav")
    open(broken, "wb").write(b"no sound at all")
    service = Service(program, "--log", "/dev/null")
    b = Browser(downloads=folder)
    try:
        b.open(f"http://127.0.0.1:{service.port}/")
        keyboard(b)
        b.open(f"http://127.0.0.1:{service.port}/")
        upload(b, recordings + [silent], 3)
        seen = rows(b)
        check("labels", [r[2] for r in seen] == ["angry", "neutral", "silence"], seen)
        check("the first is shown", b.text("#name") == "03a01Wa.flac" and "angry" in b.text("#answer"), b.text("#answer"))
        check("scores", b.run("return document.querySelectorAll('#scores .bar').length") == 9)
        check("timeline", b.run("return document.querySelectorAll('#segments li').length") >= 1)
        check("waveform", b.run("const c = document.getElementById('wave'), d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
                                "return new Set(d.filter((_, i) => i % 4 == 0)).size") > 3)
        whole = b.run("return view.to - view.from")
        b.click("#in")
        check("zoom", abs(b.run("return view.to - view.from") - whole / 2) < 1e-6)
        b.click("th:nth-child(3) button")
        b.click("th:nth-child(3) button")
        check("sorted downwards", [r[2] for r in rows(b)] == ["silence", "neutral", "angry"], rows(b))
        check("told to a screen reader", b.run("return document.querySelector('th:nth-child(3)').getAttribute('aria-sort')") == "descending")
        check("no complaints", not b.complaints())
        upload(b, [broken], 4)
        check("broken", "not audio" in str(rows(b)), rows(b))
        answers = [json.loads(line) for line in open(download(b, "#to-json", os.path.join(folder, "emotions.json")))]
        check("JSON", {a["file"] for a in answers} == {"03a01Wa.flac", "03a01Nc.flac", "silence.wav", "=broken.wav"}, answers)
        table = list(csv.DictReader(open(download(b, "#to-csv", os.path.join(folder, "emotions.csv")))))
        check("CSV", [r["label"] for r in table if r["file"] == "03a01Wa.flac"] == ["angry"], table)
        check("no formulas", any(r["file"] == "'=broken.wav" for r in table), table)
        picture = open(download(b, "#to-png", os.path.join(folder, "03a01Wa.png")), "rb").read()
        check("PNG", picture[:8] == b"\x89PNG\r\n\x1a\n" and len(picture) > 5000)
        complaints = [c for c in b.complaints() if "status of 422" not in c]
        check("no complaints", not complaints, complaints)
        service.stop()
        upload(b, [recordings[0]], 5)
        check("a server that is gone", "does not answer" in b.text("#status"), b.text("#status"))
    finally:
        b.close()
        if service.process.poll() is None:
            service.stop()
