"""What clients put on the wire that is not as it should be, and how the service ends. Usage: test_wire.py SER"""
import ctypes, json, math, os, shutil, signal, subprocess, sys, tempfile, threading, time
from service import Service, read_answer, wav
from websocket import WebSocket

program = sys.argv[1]
silence = wav([0.0] * 8000)
SECOND = [0.2 * math.sin(t * t * 1e-6) for t in range(16000)]


def chirp(seconds):
    one = wav(SECOND)
    size = seconds * (len(one) - 44)
    return one[:4] + (36 + size).to_bytes(4, "little") + one[8:40] + size.to_bytes(4, "little") + one[44:] * seconds


def check(what, condition, *seen):
    assert condition, f"{what}: {seen}"


def post(body, *headers, target="/v1/predict"):
    head = "".join(h + "\r\n" for h in (f"POST {target} HTTP/1.1", "Host: a", f"Content-Length: {len(body)}", *headers))
    return head.encode() + b"\r\n" + body


def exchange(s, data):
    """All that comes back until the service closes, or half a second passes."""
    with s.connect(20) as c:
        c.sendall(data)
        c.settimeout(0.5)
        out = b""
        try:
            while piece := c.recv(65536):
                out += piece
        except (TimeoutError, ConnectionResetError):
            pass
    return out


def status(s, data):
    """Of the answer; 0: there is none."""
    with s.connect(20) as c:
        try:
            c.sendall(data)
            return read_answer(c)[0]
        except (ConnectionResetError, BrokenPipeError):
            return 0


def test_bodies(s):
    """Where a body ends is never in doubt; nothing of it is taken for a request of its own."""
    hidden = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"
    for method in ("GET", "HEAD", "OPTIONS"):
        out = exchange(s, f"{method} /health HTTP/1.1\r\nHost: a\r\nContent-Length: {len(hidden)}\r\n\r\n".encode() + hidden)
        check(method + " with a body", out.startswith(b"HTTP/1.1 400") and out.count(b"HTTP/1.1 ") == 1 and b"ser_requests" not in out, out)
    check("two lengths in one", status(s, post(silence, "Transfer-Encoding: chunked")) == 411)
    check("two lengths", status(s, post(silence, "Content-Length: 5")) in (400, 411))
    for length in ("-5", "0x10", "5,5", "99999999999999999999", ""):
        check("length " + length, status(s, f"POST /v1/predict HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\nabcde".encode()) in (400, 411, 413))
    # A byte more than was announced, before the answer: one clear answer, and nobody else's is lost for it
    for more in (b"x", b"\r\n", post(silence), hidden):
        out = exchange(s, post(chirp(1)) + more)
        check("more than the body", out.count(b"HTTP/1.1 ") == 1 and b"ser_requests" not in out and
              (out.startswith(b"HTTP/1.1 400") or out.startswith(b"HTTP/1.1 200")), more, out)
        check("others are answered", s.predict(silence)[0] == 200)
    out = exchange(s, 5 * b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
    check("five at once", out.count(b'"ok"') == 5, out)
    out = exchange(s, post(silence, "Expect: 100-continue")[:-len(silence)])
    check("told to go on", out.startswith(b"HTTP/1.1 100"), out)


def test_queries(s):
    check("a query too long", status(s, post(silence, target="/v1/predict?x=" + "a" * 2000)) == 400)
    check("hidden behind one", status(s, post(silence, target="/v1/predict?timeline=" + "a" * 1100 + "&model=none")) == 400)
    for query in ("timeline=maybe", "min_confidence=nan", "min_confidence=", "min_confidence=1e400", "min_confidence=0.5x", "model=",
                  "frames=1", "=1", "timeline%3d1"):
        check(query, status(s, post(silence, target="/v1/predict?" + query)) in (400, 404))
    for query in ("", "&", "timeline", "timeline=1&timeline=0", "min_confidence=0"):
        check(query, status(s, post(silence, target="/v1/predict?" + query)) == 200)
    check("a 0 in it", status(s, post(silence, target="/v1/predict?timeline=%00")) in (0, 400))


def test_upgrades(s):
    def upgrade(to, path="/v1/stream", *headers):
        head = "".join(h + "\r\n" for h in (f"GET {path} HTTP/1.1", "Host: a", f"Upgrade: {to}", "Connection: Upgrade",
                                            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", *headers))
        return status(s, (head + "\r\n").encode())
    check("stream", upgrade("websocket") == 101)
    check("own page", upgrade("websocket", "/v1/stream", "Origin: http://a") == 101)
    check("another site", upgrade("websocket", "/v1/stream", "Origin: http://evil.example") == 403)
    check("a site with a long name", upgrade("websocket", "/v1/stream", "Origin: http://" + "e" * 300) == 403)
    check("no site", upgrade("websocket", "/v1/stream", "Origin: null") == 403)
    check("no stream", upgrade("websocket", "/health") == 404)
    check("HTTP/2", upgrade("h2c", "/health", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA") == 400)
    check("unknown", upgrade("telnet", "/health") in (0, 403))
    check("CONNECT", status(s, b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n") == 400)
    for other in (b"BREW /v1/predict HTTP/1.1\r\nHost: a\r\n\r\n", b"SSH-2.0-x\r\n", bytes(2000), b"\x16\x03\x01\x02\x00\x01"):
        with s.connect(20) as c:
            c.sendall(other)
            code, head, body = read_answer(c)
        check("no HTTP", code == 400 and json.loads(body)["error"]["code"] == 400 and head["connection"] == "close", other[:10], code, body)
    check("others are answered", s.request("GET", "/health")[0] == 200)


def test_slow_stream():
    """Who is silent after the upgrade, or does not read, does not keep a place."""
    s = Service(program, "--log", "/dev/null", "--header-timeout", "1", "--max-streams", "1")
    w = WebSocket(s.port)
    full = WebSocket(s.port)
    check("full", full.status == 503, full.status)
    seen = w.all()
    check("no first message", seen and seen[0]["error"]["code"] == 408, seen)
    w = WebSocket(s.port)
    check("a place again", w.status == 101, w.status)
    w.tell({"type": "finish"})
    check("finish before start", w.receive()["error"]["code"] == 400)
    s.stop()


def test_catching_up():
    """Sound that did not come for a while may not come at once: the limit is about what waits."""
    s = Service(program, "--log", "/dev/null", "--stream-ahead", "1")
    w = WebSocket(s.port)
    w.tell({"rate": 1000, "channels": 8, "encoding": "f32le"})
    second = bytes(1000 * 8 * 4)
    w.send(second)
    time.sleep(4)
    try:
        w.send(4 * second)
        w.tell({"type": "finish"})
    except (BrokenPipeError, ConnectionResetError):
        pass
    seen = w.all()
    check("too fast", seen and seen[-1].get("error", {}).get("code") == 429, seen)
    check("end", s.stop() == 0)


def test_long_ones():
    """Long recordings, though small as files, leave a worker to short ones; and one is decoded once."""
    if not shutil.which("ffmpeg"):
        return
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "long.ogg")
        subprocess.run(["ffmpeg", "-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", "sine=frequency=300:duration=35", "-ac", "1", "-b:a", "8k",
                        "-c:a", "libopus", path], check=True)
        small = open(path, "rb").read()
    check("small", len(small) < 1 << 20, len(small))
    s = Service(program, "--log", "/dev/null", "--workers", "2")
    order, lock = [], threading.Lock()

    def ask(what, body):
        code, _, answer = s.request("POST", "/v1/predict", body, timeout=250)
        answer = json.loads(answer)
        with lock:
            order.append((what, code, answer.get("duration")))
    threads = [threading.Thread(target=ask, args=("long", small)) for _ in range(3)]
    [t.start() for t in threads]
    s.wait_for(3)
    for _ in range(3):
        ask("short", silence)
    [t.join() for t in threads]
    last = max(i for i, o in enumerate(order) if o[0] == "short")
    check("short ones first", [o[1] for o in order] == 6 * [200] and any(o[0] == "long" for o in order[last:]), order)
    check("durations", all(abs(o[2] - 35) < 0.1 for o in order if o[0] == "long"), order)
    sound = s.metrics()["ser_audio_seconds_total"]
    check("counted once", abs(sound - 3 * 35 - 3 * 0.5) < 1, sound)
    check("end", s.stop() == 0)


def open_post(s, body):
    c = s.connect(120)
    c.sendall(post(body))
    return c


def test_end():
    """What runs is answered, to the last byte."""
    s = Service(program, "--log", "/dev/null", "--grace", "100")
    waiting = [open_post(s, chirp(5)) for _ in range(6)]
    s.wait_for(6)
    check("end", s.stop(timeout=200) == 0)
    for c in waiting:
        code, head, body = read_answer(c)
        check("whole answer", code == 200 and json.loads(body)["duration"] == 5.0, code, body)


def test_short_grace():
    """What takes longer than the grace is told so, and does not keep the service."""
    s = Service(program, "--log", "/dev/null", "--grace", "0", "--workers", "1")
    long, idle = open_post(s, chirp(600)), s.connect()
    half = s.connect()
    half.sendall(post(silence)[:-100])
    s.wait_for(1)
    check("end", s.stop(timeout=60) == 0)
    code, _, body = read_answer(long)
    check("told", code == 503 and json.loads(body)["error"]["type"] == "stopping", code, body)
    for c in (long, idle, half):
        c.close()


def is_told_damaged(code, answer):
    """By a decoder that lives to tell."""
    return code == 422 and "within the limits" not in answer["error"]["message"]


def test_heads(s):
    """WAVs whose heads lie, or that are cut, are no worse than damaged."""
    plain = wav(SECOND)
    for at, what in ((4, "size"), (40, "size of the samples"), (24, "rate"), (22, "channels"), (34, "bits")):
        code, answer = s.predict(plain[:at] + b"\xff\xff" + plain[at + 2:])
        check("a lie about the " + what, code == 200 or is_told_damaged(code, answer), code, answer)
    for cut in (10, 43, 44, 45, len(plain) - 1):
        code, answer = s.predict(plain[:cut])
        check("cut", code == 200 or is_told_damaged(code, answer), cut, code, answer)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [int(child) for child in f.read().split()]


def wait_until(condition):
    until = time.time() + 60
    while not (done := condition()) and time.time() < until:
        time.sleep(0.02)
    return done


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_decoders():
    """One decodes upload after upload, but none after a failure, and not forever; they go with the service, however it ends."""
    s = Service(program, "--log", "/dev/null", "--workers", "1")
    parent, = children(s.process.pid)
    decoder = lambda: (wait_until(lambda: children(parent)) or [None])[0]
    first = decoder()
    for _ in range(3):
        check("answered", s.predict(silence)[0] == 200)
    check("the same one", decoder() == first)
    check("damaged", s.predict(b"RIFF" + bytes(1000))[0] == 422)
    check("another after a failure", wait_until(lambda: decoder() not in (first, None)))
    second = decoder()
    os.kill(second, signal.SIGKILL)
    check("another for one that ended", wait_until(lambda: decoder() not in (second, None)))
    third = decoder()
    for _ in range(101):
        check("answered", s.predict(silence)[0] == 200)
    check("another after many", wait_until(lambda: decoder() not in (third, None)))
    last = decoder()
    s.stop(signal.SIGKILL)
    check("nothing is left", wait_until(lambda: not is_alive(parent) and not is_alive(last)), parent, last)


def test_ignored_children():
    """Who starts it may ignore the end of children, which is inherited: decoders are replaced all the same."""
    s = Service(program, "--log", "/dev/null", "--workers", "1", before=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
    for _ in range(2):
        code, answer = s.predict(b"RIFF" + bytes(1000))
        check("damaged", is_told_damaged(code, answer), code, answer)
        check("answered", s.predict(silence)[0] == 200)
    check("end", s.stop() == 0)


def test_left_behind():
    """The ffmpeg of a decoder that is killed ends with it, and is waited for by whoever keeps decoders."""
    keep_orphans = 36  # PR_SET_CHILD_SUBREAPER: what nobody below waits for comes to this test, and is seen
    check("prctl", ctypes.CDLL(None).prctl(keep_orphans, 1, 0, 0, 0) == 0)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "ffmpeg")
        with open(path, "w") as f:
            f.write("#!/bin/sh\nexec sleep 60\n")
        os.chmod(path, 0o755)
        s = Service(program, "--log", "/dev/null", "--workers", "1", environment={**os.environ, "PATH": folder + ":" + os.environ["PATH"]})
        keeper, = children(s.process.pid)
        decoder = wait_until(lambda: children(keeper))[0]
        c = open_post(s, b"\0\0\0\x18ftypM4A " + bytes(2 << 20))  # no other is tried when it takes long
        slow = (wait_until(lambda: children(decoder)) or [None])[0]
        check("ffmpeg runs", slow is not None)
        os.kill(decoder, signal.SIGKILL)
        code, _, body = read_answer(c)
        c.close()
        check("told", code == 422 and b"within the limits" in body, code, body)
        check("waited for", wait_until(lambda: not os.path.exists(f"/proc/{slow}")), slow)
        check("answered", s.predict(silence)[0] == 200)
        check("end", s.stop() == 0)


def test_uploads_in_memory():
    s = Service(program, "--log", "/dev/null", "--max-body", "2", "--max-uploads", "2")
    half = s.connect()
    half.sendall(post(bytes(2000000))[:1900000])
    until = time.time() + 60
    while s.metrics()["ser_upload_bytes"] < 1900000 and time.time() < until:
        time.sleep(0.05)
    code, head, body = s.request("POST", "/v1/predict", bytes(1000000))
    check("no room", code == 503 and "retry-after" in head, code, body)
    half.close()
    until = time.time() + 20
    while (code := s.request("POST", "/v1/predict", bytes(1000000))[0]) == 503 and time.time() < until:
        time.sleep(0.2)
    check("room again", code == 422 and s.metrics()["ser_upload_bytes"] == 0, code, s.metrics())
    check("end", s.stop() == 0)


if __name__ == "__main__":
    s = Service(program, "--log", "/dev/null")
    for test in (test_bodies, test_queries, test_upgrades, test_heads):
        test(s)
    check("end", s.stop() == 0)
    test_slow_stream()
    test_catching_up()
    test_long_ones()
    test_end()
    test_short_grace()
    test_uploads_in_memory()
    test_decoders()
    test_ignored_children()
    test_left_behind()
