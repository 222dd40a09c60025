"""What the service can do on this machine, beside what the program can do, in one run:

    throughput   3 s clips by POST /v1/predict on keep-alive connections, and by `ser predict` on the same files
    latency      3 s clips one after the other, alone, and while another client has a 10-minute recording answered
    streams      how many speak at once in real time without an update that is late by more than 0.5 s, begun within a second
    streams-in-step    the same, where all begin in the same instant: their updates fall due together
    memory       requests by the thousand, a third of them broken

Usage: serve.py SER FOLDER [PART...] [--rounds N] [--clips N] [--requests N] [--seconds S] [--json FILE]; FOLDER holds speech (such as EMO-DB's
recordings), ffmpeg decodes it. Only 127.0.0.1 is asked. A wall time is one of this machine at this moment: where others use it,
the ratios within a run and processor times are what can be compared.
"""
import argparse, http.client, json, os, pathlib, resource, selectors, statistics, subprocess, sys, tempfile, threading, time
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "serve"))
from service import Service  # noqa: E402
from websocket import WebSocket  # noqa: E402

RATE, CLIP_S, LONG_S, OWN_S = 16000, 3, 600, 60  # OWN_S: of different speech
TICKS = os.sysconf("SC_CLK_TCK")


def speech(folder, seconds):
    """16-bit samples of the folder's recordings, joined, and over again if they are too few."""
    pcm = b""
    files = sorted(p for p in pathlib.Path(folder).rglob("*") if p.suffix.lower() in (".wav", ".flac", ".opus", ".mp3"))
    assert files, f"{folder}: no recordings"
    for path in files:
        pcm += subprocess.run(["ffmpeg", "-nostdin", "-loglevel", "error", "-i", path, "-ac", "1", "-ar", str(RATE), "-f", "s16le", "-"], check=True,
                              capture_output=True).stdout
        if len(pcm) >= 2 * RATE * min(seconds, OWN_S):
            break
    while len(pcm) < 2 * RATE * seconds:
        pcm += pcm
    return pcm[:2 * RATE * seconds]


def wav(pcm):
    head = b"RIFF" + (36 + len(pcm)).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little") + (1).to_bytes(2, "little") * 2
    return head + RATE.to_bytes(4, "little") + (2 * RATE).to_bytes(4, "little") + b"\2\0\x10\0data" + len(pcm).to_bytes(4, "little") + pcm


def processor_s(pid):
    """Of a process and those that it started, ended ones included."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    seconds = sum(map(int, fields[11:15])) / TICKS
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return seconds + sum(processor_s(int(child)) for child in f.read().split())


def percentile(values, p):
    values = sorted(values)
    return values[min(len(values) - 1, int(p / 100 * len(values)))]


class Client:
    """One keep-alive connection."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)

    def post(self, body, headers={}):
        self.connection.request("POST", "/v1/predict", body, headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read()


# ---- throughput ----

def post_all(port, clips, n_clients):
    """Seconds that it takes until all are answered."""
    waiting, failed, lock = list(clips), [], threading.Lock()

    def work():
        client = Client(port)
        while True:
            with lock:
                if not waiting:
                    return
                clip = waiting.pop()
            status, _ = client.post(clip)
            if status != 200:
                failed.append(status)
    threads = [threading.Thread(target=work) for _ in range(n_clients)]
    began = time.perf_counter()
    [t.start() for t in threads], [t.join() for t in threads]
    assert not failed, failed[:3]
    return time.perf_counter() - began


def predict_all(program, folder):
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([program, "predict", "--quiet", "--format", "json", folder], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - began, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def flac(sound):
    return subprocess.run(["ffmpeg", "-nostdin", "-loglevel", "error", "-i", "-", "-f", "flac", "-"], input=sound, check=True, capture_output=True).stdout


def throughput(program, pcm, rounds, n_clips):
    """Of WAVs of 16 kHz, which are hardly more than read, and of FLACs."""
    size = 2 * RATE * CLIP_S
    clips = [wav(pcm[i:i + size]) for i in range(0, min(len(pcm), n_clips * size) - size + 1, size)]
    return {"wav": throughput_of(program, clips, rounds), "flac": throughput_of(program, list(map(flac, clips)), rounds)}


def throughput_of(program, clips, rounds):
    walls, processors = [], []
    service = Service(program, "--log", "/dev/null")
    n_workers = int(service.metrics()["ser_workers"])
    with tempfile.TemporaryDirectory() as folder:
        for i, clip in enumerate(clips):
            open(os.path.join(folder, f"{i:04d}"), "wb").write(clip)
        post_all(service.port, clips[:8], n_workers), predict_all(program, folder)  # warm
        for _ in range(rounds):
            predicted, predicted_cpu = predict_all(program, folder)
            before = processor_s(service.process.pid)
            posted = post_all(service.port, clips, 2 * n_workers)
            posted_cpu = processor_s(service.process.pid) - before
            walls.append((posted, predicted)), processors.append((posted_cpu, predicted_cpu))
    service.stop()
    rate = lambda times: len(clips) / statistics.median(times)
    return {"clips": len(clips), "workers": n_workers,
            "posted_per_s": rate([p for p, _ in walls]), "predicted_per_s": rate([p for _, p in walls]),
            "ratio_wall": statistics.median(b / a for a, b in walls), "ratio_processor": statistics.median(b / a for a, b in processors),
            "posted_processor_ms": 1000 / rate([p for p, _ in processors]), "predicted_processor_ms": 1000 / rate([p for _, p in processors])}


# ---- latency ----

def latency(program, pcm, seconds):
    size = 2 * RATE * CLIP_S
    clips = [wav(pcm[i:i + size]) for i in range(0, 20 * size, size)]
    long = wav(pcm[:2 * RATE * LONG_S])
    service = Service(program, "--log", "/dev/null")
    client, ended, n_long = Client(service.port), threading.Event(), [0]

    def clips_for(s):
        times, until = [], time.perf_counter() + s
        while time.perf_counter() < until or len(times) < 100:
            began = time.perf_counter()
            status, _ = client.post(clips[len(times) % len(clips)])
            assert status == 200, status
            times.append(1000 * (time.perf_counter() - began))
        return times

    def long_ones():
        other = Client(service.port)
        while not ended.is_set():
            status, _ = other.post(long)
            n_long[0] += status == 200
    clips_for(1)
    alone = clips_for(seconds / 2)
    thread = threading.Thread(target=long_ones)
    thread.start()
    until = time.perf_counter() + 60
    while service.metrics()["ser_workers_busy"] < 1 and time.perf_counter() < until:
        time.sleep(0.01)
    beside = clips_for(seconds)
    ended.set()
    thread.join()
    service.stop()
    return {"n": len(beside), "long_answered": n_long[0], "alone_median_ms": statistics.median(alone), "alone_p99_ms": percentile(alone, 99),
            "beside_median_ms": statistics.median(beside), "beside_p99_ms": percentile(beside, 99)}


# ---- streams ----

class Speaker:
    """A stream in real time, and how late its updates are: from when the sound up to their end was sent."""
    PORTION = RATE // 10

    def __init__(self, port, pcm, offset):
        self.w = WebSocket(port)
        assert self.w.status == 101, self.w.status
        self.w.tell({"rate": RATE, "encoding": "s16le", "update": 1})
        self.pcm, self.offset, self.sent, self.data, self.late, self.ended = pcm, offset, [], b"", [], False
        self.w.s.setblocking(False)

    def speak(self):
        at = (self.offset + len(self.sent) * 2 * self.PORTION) % (len(self.pcm) - 2 * self.PORTION)
        self.w.s.setblocking(True)
        self.w.send(self.pcm[at:at + 2 * self.PORTION])
        self.w.s.setblocking(False)
        self.sent.append(time.perf_counter())

    def hear(self):
        """Messages that have come, each shorter than 64 kB."""
        try:
            piece = self.w.s.recv(65536)
        except BlockingIOError:
            return
        self.ended = self.ended or not piece
        self.data += piece
        while len(self.data) >= 4:
            n, at = self.data[1] & 127, 2
            if n == 126:
                n, at = int.from_bytes(self.data[2:4], "big"), 4
            if len(self.data) < at + n:
                return
            event = json.loads(self.data[at:at + n]) if self.data[0] & 15 == 1 else {"event": "end"}
            self.data = self.data[at + n:]
            self.ended = self.ended or "error" in event
            if event.get("event") == "measurement" and not event["final"]:
                portion = min(len(self.sent) - 1, int(event["end"] * 10 + 1e-6))
                self.late.append(time.perf_counter() - self.sent[portion])


def speak_at_once(program, pcm, n, seconds, within):
    """The largest lateness of n streams that begin within so many seconds, and how many updates came."""
    service = Service(program, "--log", "/dev/null", "--max-streams", str(n))
    speakers = [Speaker(service.port, pcm, 2 * RATE * 7 * i) for i in range(n)]
    selector = selectors.DefaultSelector()
    for i, s in enumerate(speakers):
        selector.register(s.w.s, selectors.EVENT_READ, s)
    began = time.perf_counter()
    order = [(0.1 * k + within * i / n, s) for k in range(int(seconds * 10)) for i, s in enumerate(speakers)]
    order.sort(key=lambda o: o[0])
    own_delay = 0
    for due, s in order:
        while (wait := began + due - time.perf_counter()) > 0:
            for key, _ in selector.select(wait):
                key.data.hear()
        own_delay = max(own_delay, -wait)
        s.speak()
    until = time.perf_counter() + 2
    while (wait := until - time.perf_counter()) > 0:
        for key, _ in selector.select(wait):
            key.data.hear()
    ended = sum(s.ended for s in speakers)
    cpu = processor_s(service.process.pid)
    service.stop()
    late = [x for s in speakers for x in s.late]
    return {"n": n, "updates": len(late), "latest_s": max(late, default=0), "p99_s": percentile(late, 99) if late else 0, "ended": ended,
            "own_delay_s": own_delay, "processor_s_per_stream_s": cpu / (n * seconds)}


def streams(program, pcm, seconds, within):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "speech.wav")
        open(path, "wb").write(wav(pcm[:2 * RATE * LONG_S]))
        began = time.perf_counter()
        subprocess.run([program, "predict", "--quiet", "--timeline", "--format", "json", path], check=True, stdout=subprocess.DEVNULL)
        times_real_time = LONG_S / (time.perf_counter() - began)
    fits = lambda r: r["latest_s"] <= 0.5 and not r["ended"] and r["updates"] > 0
    good, bad, tried = 0, None, []
    n = max(2, int(times_real_time / 2))
    while bad is None or bad - good > max(1, good // 8):
        tried.append(speak_at_once(program, pcm, n, seconds, within))
        print(f"  {tried[-1]}", file=sys.stderr)
        good, bad = (max(good, n), bad) if fits(tried[-1]) else (good, n)
        if n <= 1 and not good:
            break
        n = 2 * n if bad is None else (good + bad) // 2
    return {"timeline_times_real_time": times_real_time, "streams": good, "ratio": good / times_real_time, "tried": tried}


# ---- memory ----

def memory(program, pcm, n_requests):
    """Resident memory after a twentieth of the requests, and at the end."""
    clips = [wav(pcm[i:i + RATE]) for i in range(0, 40 * RATE, RATE)]  # half a second
    whole = clips[0]
    form = {"Content-Type": "multipart/form-data; boundary=b"}
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    broken = [(b"no sound at all", {}, 422), (whole[:60], {}, 422), (part + whole, form, 400), (b"fLaC" + whole[100:900], {}, 422),
              (part + b"\r\n--b--\r\n", form, 422), (whole[:20] + b"\xff" * 16 + whole[36:], {}, 422)]
    service = Service(program, "--log", "/dev/null")
    seen, wrong, lock, count = {}, [], threading.Lock(), [0]

    def work():
        client = Client(service.port)
        while True:
            with lock:
                i = count[0]
                count[0] += 1
                if i % (n_requests // 20) == 0 or i == n_requests:
                    seen[i] = service.memory()
            if i >= n_requests:
                return
            body, headers, expected = broken[i // 3 % len(broken)] if i % 3 == 0 else (clips[i % len(clips)], {}, 200)
            status, answer = client.post(body, headers)
            if status != expected:
                wrong.append((i, status, answer))
    threads = [threading.Thread(target=work) for _ in range(4)]
    [t.start() for t in threads], [t.join() for t in threads]
    service.stop()
    assert not wrong, wrong[:3]
    first = seen[n_requests // 20]
    return {"requests": n_requests, "after_the_first_bytes": first, "at_the_end_bytes": seen[n_requests],
            "largest_bytes": max(v for k, v in seen.items() if k), "growth_bytes": seen[n_requests] - first}


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("program"), a.add_argument("folder"), a.add_argument("parts", nargs="*")
    a.add_argument("--rounds", type=int, default=5), a.add_argument("--clips", type=int, default=120), a.add_argument("--requests", type=int, default=20000)
    a.add_argument("--seconds", type=float, default=20), a.add_argument("--json")
    o = a.parse_args()
    pcm = speech(o.folder, LONG_S)
    name = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    flags = next(line for line in open("/proc/cpuinfo") if line.startswith("flags"))
    result = {"processor": name, "avx512": "avx512f" in flags, "cores": len(os.sched_getaffinity(0)), "load_before": os.getloadavg()[0]}
    parts = {"throughput": lambda: throughput(o.program, pcm, o.rounds, o.clips), "latency": lambda: latency(o.program, pcm, o.seconds),
             "streams": lambda: streams(o.program, pcm, o.seconds, 1),
             "streams-in-step": lambda: streams(o.program, pcm, o.seconds, 0), "memory": lambda: memory(o.program, pcm, o.requests)}
    for part in o.parts or parts:
        result[part] = parts[part]()
        print(part, json.dumps(result[part]), flush=True)
    result["load_after"] = os.getloadavg()[0]
    print(json.dumps({k: v for k, v in result.items() if k not in parts}))
    if o.json:
        json.dump(result, open(o.json, "w"), indent=1)


if __name__ == "__main__":
    main()
