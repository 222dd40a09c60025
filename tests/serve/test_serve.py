"""ser serve, as clients meet it: answers, errors, limits, keys, the end. Usage: test_serve.py SER"""
import json, math, os, signal, socket, subprocess, sys, tempfile, threading, time
from service import Service, multipart, read_answer, wav

program = sys.argv[1]
shared = os.environ.get("SER_SHARED", "")
recording = os.path.join(shared, "data/emodb/wav/03a01Wa.flac")
voice = open(recording, "rb").read() if os.path.exists(recording) else None
tone = wav([0.3 * math.sin(2 * math.pi * 440 * t / 16000) for t in range(16000)])
silence = wav([0.0] * 16000)


def check(what, condition, *seen):
    assert condition, f"{what}: {seen}"


def check_error(what, answer, status, kind):
    code, body = answer
    check(what, code == status and body["error"]["code"] == status and body["error"]["type"] == kind and body["error"]["message"] and
          len(body["request_id"]) == 16, code, body)


def test_answers(s):
    status, head, body = s.request("GET", "/health")
    check("health", status == 200 and json.loads(body)["status"] == "ok", status, body)
    check("headers", head["x-content-type-options"] == "nosniff" and head["cache-control"] == "no-store", head)
    status, head, body = s.request("GET", "/")
    check("page", status == 200 and body.lower().startswith(b"<!doctype html") and "default-src 'none'" in head["content-security-policy"],
          status, head)
    status, head, body = s.request("HEAD", "/")
    check("head", status == 200 and not body, status, body)
    status, _, body = s.request("GET", "/openapi.json")
    api = json.loads(body)
    check("openapi", status == 200 and "/v1/predict" in api["paths"], status)
    for path, methods in api["paths"].items():  # what it lists is there
        status, _, _ = s.request("GET", path)
        check("listed route " + path, status == (200 if "get" in methods else 405), status)
    status, _, body = s.request("GET", "/v1/models")
    models = json.loads(body)["models"]
    check("models", status == 200 and models[0]["default"] and len(models[0]["labels"]) == 9, body)
    status, answer = s.predict(silence)
    check("silence", status == 200 and answer["label"] is None and answer["note"] == "silence" and answer["duration"] == 1.0, answer)
    status, _, body = s.request("GET", "/metrics")
    check("metrics", b'ser_requests_total{route="/v1/predict",status="200"} 1\n' in body and b"ser_audio_seconds_total 1\n" in body, body)


def test_voice(s):
    said = json.loads(subprocess.run([program, "predict", "--jobs", "1", "--format", "json", recording], check=True, capture_output=True).stdout)
    status, answer = s.predict(voice)
    check("voice", status == 200 and answer["label"] == said["label"], answer)
    check("scores", all(abs(answer["scores"][k] - v) < 2e-6 for k, v in said["scores"].items()), answer, said)
    body, head = multipart([("a.flac", voice), ("b.wav", b"RIFF no sound"), ("c.wav", silence)])
    status, answer = s.predict(body, "?timeline=true", head)
    results = answer["results"]
    check("several", status == 200 and [r["file"] for r in results] == ["a.flac", "b.wav", "c.wav"], answer)
    check("several", results[0]["segments"] and "error" in results[1] and results[2]["label"] is None, answer)
    status, answer = s.predict(voice, "?explain=1")
    said = json.loads(subprocess.run([program, "predict", "--explain", "--format", "json", recording], check=True, capture_output=True).stdout)
    check("explained", status == 200 and answer["sound"] == said["sound"] and answer["sound"]["voice_s"] > 0, answer, said)
    check("not explained", "sound" not in s.predict(voice)[1])
    status, _, body = s.request("POST", "/v1/features", voice)
    pooled = json.loads(body)
    check("features", status == 200 and pooled["rows"] == 1 and len(pooled["values"][0]) == pooled["dims"] > 1000, status)
    status, _, body = s.request("POST", "/v1/features?frames=1", voice)
    frames = json.loads(body)
    check("frames", status == 200 and frames["rows"] == len(frames["values"]) > 50 and frames["frames_per_s"] > 0, status)
    status, _, body = s.request("POST", "/v1/features?timeline=1", voice)
    check("a query of another route", status == 400 and "frames and model" in json.loads(body)["error"]["message"], status, body)
    status, answer = s.predict(voice, "?min_confidence=1")
    check("uncertain", answer["label"] == "uncertain" and answer["scores"], answer)


def test_errors(s):
    check_error("no audio", s.predict(b"no audio at all"), 422, "invalid_audio")
    check_error("empty", s.predict(b""), 400, "invalid_request")
    check_error("NaN", s.predict(nan_wav()), 422, "invalid_audio")
    check_error("no field", s.predict(b"--x\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\na\r\n--x--\r\n", "",
                                      {"Content-Type": "multipart/form-data; boundary=x"}), 400, "invalid_request")
    check_error("cut", s.predict(b"--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nabc", "",
                                 {"Content-Type": "multipart/form-data; boundary=x"}), 400, "invalid_request")
    check_error("no boundary", s.predict(b"abc", "", {"Content-Type": "multipart/form-data"}), 400, "invalid_request")
    check_error("query", s.predict(tone, "?nonsense=1"), 400, "invalid_request")
    check_error("confidence", s.predict(tone, "?min_confidence=2"), 400, "invalid_request")
    check_error("model", s.predict(tone, "?model=../../etc/passwd"), 404, "unknown_model")
    for method, path, status, kind in [("GET", "/v1/predict", 405, "method_not_allowed"), ("POST", "/health", 405, "method_not_allowed"),
                                       ("DELETE", "/v1/predict", 405, "method_not_allowed"), ("GET", "/nothing", 404, "not_found"),
                                       ("GET", "/../../etc/passwd", 404, "not_found")]:
        code, _, body = s.request(method, path)
        check_error(method + path, (code, json.loads(body)), status, kind)
    code, _, body = s.request("POST", "/v1/predict", b"", {"Content-Length": "nonsense"})
    check("length", code in (400, 411), code)


def nan_wav():
    import struct
    data = struct.pack("<f", 0.1) * 8000 + struct.pack("<f", float("nan")) * 8000
    return b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 3, 1, 16000, 64000, 4, 32) + \
        b"data" + struct.pack("<I", len(data)) + data


def test_limits():
    s = Service(program, "--max-body", "1", "--max-seconds", "5", "--body-timeout", "1", "--header-timeout", "2")
    status, head, body = s.request("POST", "/v1/predict", b"x" * 1200000)
    check_error("too large", (status, json.loads(body)), 413, "too_large")
    check_error("too long", s.predict(wav([0.0] * 16000 * 6)), 413, "too_long")
    with s.connect() as slow:  # a body that does not come
        slow.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
        status, _, body = read_answer(slow)
        check_error("slow body", (status, json.loads(body)), 408, "timeout")
    with s.connect() as slow:  # a head that does not come
        slow.sendall(b"GET /health HT")
        check("slow head", slow.recv(100) in (b"",), "still open")
    check("end", s.stop() == 0)


def test_rate():
    s = Service(program, "--max-queue-per-address", "3", "--workers", "1")
    seen = []
    long_sound = wav([0.2 * math.sin(t * t * 1e-6) for t in range(16000 * 4)])
    ask = lambda: seen.append(s.request("POST", "/v1/predict", long_sound)[:2])
    threads = [threading.Thread(target=ask) for _ in range(40)]
    [t.start() for t in threads], [t.join() for t in threads]
    statuses = [status for status, _ in seen]
    check("rate", statuses.count(200) >= 3 and statuses.count(429) > 0 and set(statuses) <= {200, 429}, statuses)
    check("retry", all("retry-after" in head for status, head in seen if status == 429), seen)
    check("end", s.stop() == 0)


def test_keys():
    with tempfile.TemporaryDirectory() as folder:
        keys = os.path.join(folder, "keys")
        open(keys, "w").write("# two\nfirst-key-of-all-the-keys\nsecond-key-of-all-the-keys\n")
        log = os.path.join(folder, "log")
        s = Service(program, "--api-key-file", keys, "--cors-origin", "https://example.org", "--log", log)
        check_error("no key", s.predict(tone), 401, "unauthorized")
        check_error("wrong key", s.predict(tone, "", {"Authorization": "Bearer third-key-of-all-the-keys"}), 401, "unauthorized")
        check("key", s.predict(tone, "", {"Authorization": "Bearer second-key-of-all-the-keys"})[0] == 200)
        check("health is open", s.request("GET", "/health")[0] == 200)
        check("metrics is not", s.request("GET", "/metrics")[0] == 401)
        _, head, _ = s.request("OPTIONS", "/v1/predict", headers={"Origin": "https://example.org"})
        check("cors", head.get("access-control-allow-origin") == "https://example.org", head)
        _, head, _ = s.request("OPTIONS", "/v1/predict", headers={"Origin": "https://other.org"})
        check("no cors", "access-control-allow-origin" not in head, head)
        os.rename(log, log + ".1")
        s.process.send_signal(signal.SIGHUP)
        until = time.time() + 60
        while not os.path.exists(log) and time.time() < until:
            time.sleep(0.05)
        s.request("GET", "/health")
        check("end", s.stop() == 0)
        lines = [json.loads(line) for line in open(log + ".1").read().splitlines() + open(log).read().splitlines()]
        check("rotated", os.path.getsize(log) and all("address" not in line for line in lines), lines)
        open(keys, "w").write("short\n")
        bad = subprocess.run([program, "serve", "--api-key-file", keys], capture_output=True, text=True)
        check("short key", bad.returncode == 1 and "16 characters" in bad.stderr, bad.stderr)
        for options, word in [(["--api-key-file", folder + "/none"], "none"), (["--host", "192.0.2.1"], "cannot listen"),
                              (["--tls-cert", keys], "belong together"), (["--model", "nothing.safetensors"], "nothing.safetensors")]:
            bad = subprocess.run([program, "serve", "--port", "0", *options], capture_output=True, text=True, timeout=60)
            check(str(options), bad.returncode in (1, 2) and word in bad.stderr and bad.stderr.count("\n") <= 3, bad.stderr)


def test_port_taken(s):
    bad = subprocess.run([program, "serve", "--port", str(s.port)], capture_output=True, text=True, timeout=60)
    check("port taken", bad.returncode == 1 and "port" in bad.stderr, bad.stderr)


def test_end():
    s = Service(program, "--grace", "200")
    sound = wav([0.2 * math.sin(t * t * 1e-6) for t in range(16000 * 20)])
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(s.request("POST", "/v1/predict", sound, timeout=250)[0])) for _ in range(4)]
    [t.start() for t in threads]
    s.wait_for(4)
    check("end", s.stop(timeout=250) == 0)
    [t.join() for t in threads]
    check("requests under way are answered", answers == [200] * 4, answers)


if __name__ == "__main__":
    s = Service(program)
    test_answers(s)
    test_errors(s)
    test_port_taken(s)
    if voice:
        test_voice(s)
    check("end", s.stop() == 0)
    test_limits()
    test_rate()
    test_keys()
    test_end()
