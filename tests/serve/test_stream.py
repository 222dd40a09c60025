"""/v1/stream, as clients meet it. Usage: test_stream.py SER"""
import json, math, os, random, subprocess, sys, time
from service import Service, wav
from websocket import WebSocket

program = sys.argv[1]
shared = os.environ.get("SER_SHARED", "")
recording = os.path.join(shared, "data/emodb/wav/03a01Wa.flac")
START = {"rate": 16000, "encoding": "s16le", "update": 0.5}


def check(what, condition, *seen):
    assert condition, f"{what}: {seen}"


def sound(path):
    """16-bit samples of a recording, by the program's own decoder: ser features are not needed, a WAV is."""
    import wave
    with wave.open(path) as w:
        return w.readframes(w.getnframes())


def listen(service, pcm, portions, start=START):
    w = WebSocket(service.port)
    check("upgrade", w.status == 101, w.status)
    w.tell(start)
    at = 0
    try:
        while at < len(pcm):
            n = 2 * next(portions)
            w.send(pcm[at:at + n])
            at += n
        w.tell({"type": "finish"})
    except (BrokenPipeError, ConnectionResetError):
        pass  # what it was refused for stands in the messages
    messages = w.all()
    check("end", messages and messages[-1] == {"event": "end"}, messages[-1:])
    return messages[:-1]


def refused(service, what, code, kind, *messages, start=START):
    w = WebSocket(service.port)
    if start is not None:
        w.tell(start)
    try:
        for message in messages:
            w.send(message) if isinstance(message, bytes) else w.tell(message)
    except (BrokenPipeError, ConnectionResetError):
        pass  # it was refused before its end
    seen = w.all()
    check(what, len(seen) == 1 and seen[0]["error"]["code"] == code and seen[0]["error"]["type"] == kind and seen[0]["error"]["message"], seen)


def forever(*sizes):
    while True:
        yield from sizes


def test_silence(s):
    check("silence", listen(s, bytes(32000), forever(1600)) == [])
    check("nothing", listen(s, b"", forever(1600)) == [])


def test_errors(s):
    refused(s, "no object", 400, "invalid_request", start=[1])
    refused(s, "unknown key", 400, "invalid_request", start={"rat": 16000})
    refused(s, "rate", 400, "invalid_request", start={"rate": 10})
    refused(s, "encoding", 400, "invalid_request", start={"encoding": "mp3"})
    refused(s, "model", 400, "invalid_request", start={"model": "../x"})
    refused(s, "update", 400, "invalid_request", start={"update": 0.01})
    refused(s, "sound first", 400, "invalid_request", bytes(100), start=None)
    refused(s, "odd length", 400, "invalid_request", bytes(101))
    refused(s, "unknown message", 400, "invalid_request", {"type": "dance"})
    refused(s, "too fast", 429, "too_fast", *[bytes(64000)] * 20)
    nan = b"\x00\x00\xc0\x7f" * 400
    refused(s, "NaN", 422, "invalid_audio", nan, start={"encoding": "f32le"})
    w = WebSocket(s.port, "Origin: https://evil.example\r\n")
    check("another site", w.status not in (101,), w.status)
    check("another route", WebSocket(s.port, path="/v1/predict").status != 101)
    w = WebSocket(s.port)  # a client that vanishes in the middle
    w.tell(START)
    w.send(bytes(3200))
    w.close()
    check("health", s.request("GET", "/health")[0] == 200)


def test_voice(s, pcm):
    def finals(messages):
        return [m for m in messages if m["event"] != "measurement" or m["final"]]
    whole = listen(s, pcm, forever(len(pcm)))
    check("events", [m["event"] for m in finals(whole)][0] == "speech_start" and whole[-1]["event"] == "speech_end", whole)
    random.seed(3)
    for portions in (forever(160), forever(4001, 7), iter(lambda: random.randrange(1, 9000), None)):
        again = listen(s, pcm, portions)
        check("portions", len(finals(again)) == len(finals(whole)), again, whole)
        for a, b in zip(finals(again), finals(whole)):
            check("same", a["event"] == b["event"] and abs(a["start"] - b["start"]) < 2e-3 and abs(a["end"] - b["end"]) < 2e-3, a, b)
            check("scores", not a["scores"] or all(abs(a["scores"][k] - b["scores"][k]) < 1e-5 for k in a["scores"]), a, b)
    said = json.loads(subprocess.run([program, "predict", "--jobs", "1", "--timeline", "--format", "json", recording], check=True,
                                     capture_output=True).stdout)
    segments = [g for g in said["segments"] if g["label"]]
    events = [m for m in whole if m["event"] == "measurement" and m["final"]]
    check("the file's timeline", len(segments) == len(events) and
          all(abs(g["scores"][k] - e["scores"][k]) < 1e-4 for g, e in zip(segments, events) for k in g["scores"]), segments, events)


def test_stop():
    s = Service(program, "--log", "/dev/null")
    w = WebSocket(s.port)
    w.tell(START)
    w.send(bytes(32000))
    w.ping()
    check("stop", s.stop() == 0)
    check("last event", w.all() == [{"event": "end"}])


def test_limits():
    s = Service(program, "--log", "/dev/null", "--max-streams", "1", "--idle-timeout", "1")
    w = WebSocket(s.port)
    check("one more", WebSocket(s.port).status != 101)
    seen = w.all()
    check("idle", seen and seen[0]["error"]["type"] == "timeout", seen)
    check("free again", WebSocket(s.port).status == 101)
    s.stop()


if __name__ == "__main__":
    s = Service(program, "--log", "/dev/null")
    test_silence(s)
    test_errors(s)
    if os.path.exists(recording):
        import tempfile
        with tempfile.TemporaryDirectory() as folder:
            import shutil
            if shutil.which("ffmpeg"):
                path = os.path.join(folder, "x.wav")
                subprocess.run(["ffmpeg", "-nostdin", "-loglevel", "error", "-i", recording, path], check=True)
                test_voice(s, sound(path))
    check("end", s.stop() == 0)
    test_limits()
    test_stop()
