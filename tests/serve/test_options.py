"""ser serve's options that the other tests leave out: TLS, models, limits, keys, addresses, and what is told to whom.
Usage: test_options.py SER"""
import atexit, http.client, json, os, shutil, signal, socket, ssl, subprocess, sys, tempfile, threading, time
from service import Service, multipart, read_answer, wav
from websocket import WebSocket

program = sys.argv[1]
silence = wav([0.0] * 8000)
KEY = "a-key-of-32-characters-or-so-1234"


def check(what, condition, *seen):
    assert condition, f"{what}: {seen}"


def refused(what, status, word, *options):
    """The program says in a line or two why it does not start. What libwebsockets 4.1 keeps of a host that it could not set up
    (72 bytes) is not ours to free."""
    quiet = {**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
    p = subprocess.run([program, "serve", "--port", "0", *options], capture_output=True, text=True, timeout=120, env=quiet)
    check(what, p.returncode == status and word in p.stderr and len(p.stderr.strip().splitlines()) <= 3, p.returncode, p.stderr)


def make_certificate(folder, name="127.0.0.1"):
    cert, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert,
                    "-days", "2", "-subj", "/CN=ser test", "-addext", f"subjectAltName=IP:{name}"], check=True, capture_output=True)
    return cert, key


def test_tls(folder):
    if not shutil.which("openssl"):
        return
    cert, key = make_certificate(folder)
    other = os.path.join(folder, "other")
    os.mkdir(other)
    _, other_key = make_certificate(other)
    refused("certificate without key", 2, "belong together", "--tls-cert", cert)
    refused("key without certificate", 2, "belong together", "--tls-key", key)
    refused("somebody else's key", 1, "belong together", "--tls-cert", cert, "--tls-key", other_key)
    refused("no certificate there", 1, "none.pem", "--tls-cert", folder + "/none.pem", "--tls-key", key)
    s = Service(program, "--tls-cert", cert, "--tls-key", key, "--log", "/dev/null")
    check("https is told", any("https://" in line for line in s.lines), s.lines)
    context = ssl.create_default_context(cafile=cert)
    c = http.client.HTTPSConnection("127.0.0.1", s.port, context=context, timeout=60)
    for body in (silence, wav([0.0] * 160000)):  # more than a record of TLS holds
        c.request("POST", "/v1/predict", body)
        answer = c.getresponse()
        check("https", answer.status == 200 and json.loads(answer.read())["note"] == "silence", answer.status)
    c.request("GET", "/")
    answer = c.getresponse()
    check("the page", answer.status == 200 and len(answer.read()) == int(answer.headers["content-length"]) > 16384, answer.status)
    c.close()
    w = WebSocket(s.port, "Origin: https://127.0.0.1:%d\r\n" % s.port, context=context)
    check("wss", w.status == 101, w.status)
    w.tell({"rate": 16000})
    w.send(bytes(100000))
    w.tell({"type": "finish"})
    check("events", w.all() == [{"event": "end"}])
    with socket.create_connection(("127.0.0.1", s.port), 20) as plain:  # who speaks in the clear
        plain.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        try:
            check("not in the clear", b"200" not in plain.recv(1000))
        except ConnectionResetError:
            pass
    check("end", s.stop() == 0)


def test_keys(folder):
    keys = os.path.join(folder, "keys")
    open(keys, "w").write(KEY + "\r\n")
    s = Service(program, "--api-key-file", keys, "--page-needs-key", "--log", "/dev/null")
    for path in ("/", "/health", "/worklet.js", "/metrics", "/v1/models", "/openapi.json"):
        status, head, body = s.request("GET", path)
        check(path + " without a key", status == 401 and head["www-authenticate"] == "Bearer", status)
        check(path + " with it", s.request("GET", path, headers={"Authorization": "Bearer " + KEY})[0] == 200)
    for wrong in (KEY[:-1], KEY + "x", "", KEY.upper()):
        check("wrong key", s.request("GET", "/health", headers={"Authorization": "Bearer " + wrong})[0] == 401, wrong)
    check("another kind", s.request("GET", "/health", headers={"Authorization": "Basic " + KEY})[0] == 401)
    for start, headers, fits in (({}, "", False), ({"key": KEY}, "", True), ({"key": KEY[1:]}, "", False), ({}, f"Authorization: Bearer {KEY}\r\n", True)):
        w = WebSocket(s.port, headers)
        w.tell(start)
        try:
            w.tell({"type": "finish"})
        except OSError:
            pass
        last = w.all()[-1]
        check("stream", last == {"event": "end"} if fits else last["error"]["code"] == 401, start, last)
    check("end", s.stop() == 0)
    open(keys, "w").write("# nothing but words\n")
    refused("no key in it", 1, "no key", "--api-key-file", keys)
    refused("a folder", 1, folder, "--api-key-file", folder)


def test_origins():
    s = Service(program, "--cors-origin", "https://a.example", "--log", "/dev/null")
    for origin, fits in (("https://a.example", True), ("https://b.example", False), ("https://a.example.evil", False), ("null", False)):
        status, head, _ = s.request("POST", "/v1/predict", silence, {"Origin": origin})
        check("an answer", status == 200 and (head.get("access-control-allow-origin") == origin) == fits, origin, head)
        check("it differs", not fits or head["vary"] == "Origin", head)
        status, head, _ = s.request("POST", "/v1/predict", b"no sound", {"Origin": origin})
        check("an error", status == 422 and ("access-control-allow-origin" in head) == fits, origin, head)
        check("a stream", (WebSocket(s.port, f"Origin: {origin}\r\n").status == 101) == fits, origin)
    check("end", s.stop() == 0)


def test_models(folder):
    """By NAME alone; the first is the default."""
    s = Service(program, "--log", "/dev/null")
    s.stop()
    model = os.path.join(folder, "small=1.safetensors")
    data = os.path.join(folder, "corpus")
    for emotion, pitch in (("angry", 3), ("sad", 7)):
        os.makedirs(os.path.join(data, emotion))
        for i in range(8):
            noise = [0.3 * (((t * (pitch + i)) % 71) / 35 - 1) * ((t // 800) % 2) for t in range(8000)]
            open(os.path.join(data, emotion, f"{i}.wav"), "wb").write(wav(noise))
    run = os.path.join(folder, "run")
    subprocess.run([program, "train", "--data", data, "--feature-type", "MFCC", "--model-type", "linear", "--split_fold", "2", "--run", run],
                   check=True, capture_output=True, timeout=300)
    shutil.copy(os.path.join(run, "model.safetensors"), model)
    s = Service(program, "--model", "mine=" + model, "--model", model, "--min-confidence", "0", "--log", "/dev/null")
    _, _, body = s.request("GET", "/v1/models")
    models = json.loads(body)["models"]
    check("names", [m["name"] for m in models] == ["mine", "small=1"] and models[0]["labels"] == ["angry", "sad"] and models[0]["default"], models)
    check("asked for", s.predict(silence, "?model=mine")[0] == 200 and s.predict(silence, "?model=small%3d1")[0] == 200)
    for other in ("default", model, "../" + os.path.basename(model)):
        check("not there", s.predict(silence, "?model=" + other.replace("/", "%2f"))[0] == 404, other)
    w = WebSocket(s.port)
    w.tell({"model": "small=1"})
    w.tell({"type": "finish"})
    check("in a stream", w.all()[-1] == {"event": "end"})
    check("end", s.stop() == 0)
    refused("two of one name", 2, "name", "--model", model, "--model", model)
    refused("no model", 1, "corpus", "--model", data)
    open(os.path.join(folder, "broken.safetensors"), "wb").write(open(model, "rb").read()[:-100])
    refused("a broken model", 1, "broken.safetensors", "--model", os.path.join(folder, "broken.safetensors"))


def test_connections():
    s = Service(program, "--max-connections-per-address", "3", "--idle-timeout", "1", "--log", "/dev/null")
    many = [s.connect() for _ in range(3)]
    time.sleep(0.1)
    try:
        status = s.request("GET", "/health")[0]
    except OSError:
        status = 0
    check("one too many", status == 0, status)
    many[0].sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
    check("the others are served", read_answer(many[0])[0] == 200)
    check("idle", many[0].recv(100) == b"")  # closed by the service
    [c.close() for c in many]
    until = time.time() + 60
    while time.time() < until:
        try:
            if s.request("GET", "/health")[0] == 200:
                break
        except OSError:
            pass
        time.sleep(0.1)
    check("room again", s.request("GET", "/health")[0] == 200)
    check("end", s.stop() == 0)


def test_room(folder):
    """--max-connections and --max-queue, whoever comes."""
    s = Service(program, "--max-connections", "3", "--max-queue", "1", "--workers", "1", "--log", "/dev/null")
    some = [s.connect() for _ in range(2)]
    check("room for one", s.request("GET", "/health")[0] == 200)
    some.append(s.connect())
    some[2].sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
    check("the last one", read_answer(some[2])[0] == 200)
    with s.connect() as late:  # taken by the kernel, refused by the service
        try:
            late.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
            check("one too many", read_answer(late)[0] == 0)
        except OSError:
            pass
    [c.close() for c in some]
    check("end", s.stop() == 0)
    s = Service(program, "--max-queue", "1", "--workers", "1", "--log", "/dev/null")
    loud = wav([0.3 * (((t * 7) % 71) / 35 - 1) for t in range(16000)])
    body = loud[:40] + (600 * (len(loud) - 44)).to_bytes(4, "little") + loud[44:] * 600
    waiting = []
    for _ in range(2):  # one is answered, one waits
        waiting.append(s.connect())
        waiting[-1].sendall(b"POST /v1/predict HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    s.wait_for(2)
    status, head, answer = s.request("POST", "/v1/predict", silence)
    check("no room", status == 503 and head["retry-after"] == "1" and json.loads(answer)["error"]["type"] == "overloaded", status, answer)
    [c.close() for c in waiting]
    check("end", s.stop() == 0)


def test_precision_and_engine(folder):
    """The one that answers is the one that was asked for: plain C and oneDNN agree, 8 bits do not to the last digit."""
    path = "/usr/share/sounds/alsa/Front_Center.wav"
    if not os.path.exists(path):
        return
    spoken = open(path, "rb").read()
    scores = []
    for options in (("--precision", "fp32"), ("--precision", "fp32", "--engine", "ref"), ("--precision", "int8")):
        s = Service(program, *options, "--log", "/dev/null")
        status, answer = s.predict(spoken)
        check("answered", status == 200 and answer["scores"], status, answer)
        scores.append(list(answer["scores"].values()))
        check("end", s.stop() == 0)
    far = [max(abs(a - b) for a, b in zip(scores[0], other)) for other in scores[1:]]
    check("the same by plain C", far[0] < 1e-4, far)
    check("nearly the same in 8 bits", 0 < far[1] < 0.1, far)
    refused("no such precision", 2, "precision", "--precision", "fp8")
    refused("no such engine", 2, "engine", "--engine", "gpu")


def test_times(folder):
    """Too long to answer, or to decode: 503 and 422, and the next one is answered."""
    one = wav([0.3 * (((t * 7) % 71) / 35 - 1) * ((t // 800) % 2) for t in range(16000)])
    long = one[:40] + (1800 * (len(one) - 44)).to_bytes(4, "little") + one[44:] * 1800
    s = Service(program, "--answer-timeout", "1", "--log", "/dev/null")
    status, answer = s.predict(long)
    check("too long to answer", status == 503 and answer["error"]["type"] == "timeout", status, answer)
    check("the next", s.predict(silence)[0] == 200)
    check("end", s.stop() == 0)
    started = os.path.join(folder, "started")  # a decoder that hangs
    with open(os.path.join(folder, "ffmpeg"), "w") as f:
        f.write(f"#!/bin/sh\necho $$ >>{started}\nexec sleep 1000\n")
    os.chmod(os.path.join(folder, "ffmpeg"), 0o755)
    before, os.environ["PATH"] = os.environ["PATH"], folder + ":" + os.environ["PATH"]
    s = Service(program, "--decode-timeout", "3", "--log", "/dev/null")
    os.environ["PATH"] = before
    status, answer = s.predict(b"\0\0\0\x20ftypM4A \0\0\0\0M4A mp42isom" + bytes(5000))
    check("too long to decode", status == 422 and "limits of time" in answer["error"]["message"], status, answer)
    check("the next", s.predict(silence)[0] == 200)
    check("end", s.stop() == 0)
    pids, until = [int(pid) for pid in open(started).read().split()] if os.path.exists(started) else [], time.time() + 60
    is_there = lambda: [pid for pid in pids if os.path.exists(f"/proc/{pid}") and "sleep" in open(f"/proc/{pid}/cmdline").read()]
    while is_there() and time.time() < until:
        time.sleep(0.1)
    left = is_there()
    [os.kill(pid, signal.SIGKILL) for pid in left]
    check("nothing is left of it", not left, pids, left)


def test_log(folder):
    log = os.path.join(folder, "log")
    s = Service(program, "--log", log, "--log-addresses")
    body, head = multipart([("secret-name.wav", silence)])
    s.predict(body, "?timeline=1&min_confidence=0.25", head)
    s.request("GET", "/secret-path?secret-query=1")
    check("end", s.stop() == 0)
    text = open(log).read()
    lines = [json.loads(line) for line in text.splitlines()]
    check("lines", [(e.get("route"), e.get("status")) for e in lines[:2]] == [("/v1/predict", 200), ("other", 404)], lines)
    check("address", "127.0.0.1" in lines[0]["address"], lines[0])
    check("nothing else", "secret" not in text, text)
    refused("no folder for it", 1, "nowhere", "--log", folder + "/nowhere/log")


def can_reach(address, port):
    try:
        socket.create_connection((address, port), 20).close()
        return True
    except OSError:
        return False


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


def test_hosts():
    """It listens where it says and nowhere else; 127.0.0.2 is this machine as well."""
    reachable = {"127.0.0.1": ("127.0.0.1",), "0.0.0.0": ("127.0.0.1", "127.0.0.2"), "127.0.0.2": ("127.0.0.2",)}
    if has_ipv6():
        reachable |= {"::1": ("::1",), "::": ("127.0.0.1", "127.0.0.2", "::1")}
    for host, addresses in reachable.items():
        p = subprocess.Popen([program, "serve", "--host", host, "--port", "0", "--log", "/dev/null"], stderr=subprocess.PIPE, text=True)
        atexit.register(p.kill)
        line = p.stderr.readline()
        check("its URL", line.startswith("ser: listening on http://" + (f"[{host}]" if ":" in host else host) + ":"), line)
        port = int(line.rsplit(":", 1)[1])
        for address in ("127.0.0.1", "127.0.0.2", "::1"):
            check(f"{address} where {host} is asked for", can_reach(address, port) == (address in addresses))
        if host in ("0.0.0.0", "::"):
            check("open to the world is told", "without keys and in the clear" in p.stderr.readline(), host)
        else:
            c = http.client.HTTPConnection(host, port, timeout=60)
            c.request("POST", "/v1/predict", silence)
            check("an answer", c.getresponse().status == 200, host)
            c.close()
        second = subprocess.run([program, "serve", "--host", host, "--port", str(port)], capture_output=True, text=True, timeout=60)
        check("taken", second.returncode == 1 and "the port is taken" in second.stderr, second)
        p.send_signal(signal.SIGINT)
        check("end", p.wait(60) == 0)
    refused("no such host", 1, "--host", "--host", "no.such.host.invalid")
    refused("no address of this machine", 1, "not one of this machine", "--host", "192.0.2.77")
    refused("no port", 2, "--port", "--port", "65536")
    refused("too much", 2, "--max-uploads", "--max-body", "10", "--max-uploads", "5")


def test_systemd(folder):
    """What a unit of Type=notify waits for."""
    path = os.path.join(folder, "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
        to.bind(path)
        to.settimeout(60)
        os.environ["NOTIFY_SOCKET"] = path
        s = Service(program, "--log", "/dev/null")
        del os.environ["NOTIFY_SOCKET"]
        check("ready", to.recv(100) == b"READY=1")
        check("end", s.stop() == 0)
        check("stopping", to.recv(100) == b"STOPPING=1")


def wait_until_heard(s, w):
    w.ping()
    quiet = 0
    while quiet < 3:  # between two turns nothing seems to be going on either
        m = s.metrics()
        quiet = 0 if m["ser_workers_busy"] + m["ser_queue_length"] else quiet + 1
        time.sleep(0.01)


def test_silent_stream(minutes):
    """Hours without a word: no event, and no memory."""
    s = Service(program, "--log", "/dev/null", "--stream-ahead", "3600")
    w = WebSocket(s.port)
    w.tell({"rate": 1000, "encoding": "s16le"})
    before, minute = 0, bytes(2 * 1000 * 60)
    for _ in range(minutes):
        w.send(minute)
        wait_until_heard(s, w)
        before = before or s.memory()
    grown = s.memory() - before
    w.tell({"type": "finish"})
    check("no event", w.all() == [{"event": "end"}])
    with open(program, "rb") as f:
        keeps_what_is_freed = b"__asan_init" in f.read()
    check("no memory", keeps_what_is_freed or grown < 4 << 20, before, grown)
    check("end", s.stop() == 0)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for test in (test_tls, test_keys, test_models, test_times, test_room, test_precision_and_engine, test_log, test_systemd):
            inner = os.path.join(folder, test.__name__)
            os.mkdir(inner)
            test(inner)
    for test in (test_origins, test_connections, test_hosts):
        test()
    test_silent_stream(int(sys.argv[2]) if len(sys.argv) > 2 else 5)
