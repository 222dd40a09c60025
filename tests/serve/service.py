"""Starts the service for a test, and speaks to it. Only 127.0.0.1 is ever asked."""
import atexit, json, os, re, signal, socket, struct, subprocess, time


class Service:
    def __init__(self, program, *options, environment=None, before=None):
        command = [program, "serve", "--port", "0", *options]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, preexec_fn=before)
        atexit.register(self.process.kill)  # a test that fails leaves nothing behind
        self.lines, self.port = [], None
        until = time.time() + 60
        while time.time() < until and self.port is None:
            line = self.process.stderr.readline()
            if not line:
                break
            self.lines.append(line)
            found = re.search(r"listening on https?://[^ ]*:(\d+)$", line.strip())
            self.port = int(found.group(1)) if found else None
        assert self.port, "".join(self.lines) + "the service did not start"
        os.set_blocking(self.process.stderr.fileno(), False)

    def connect(self, timeout=20):
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def request(self, method, target, body=b"", headers=None, timeout=60):
        """One request on a connection of its own -> (status, headers, body)."""
        with self.connect(timeout) as s:
            head = {"Host": "127.0.0.1", "Connection": "close"}
            if body or method == "POST":
                head["Content-Length"] = str(len(body))
            head.update(headers or {})
            text = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in head.items()) + "\r\n"
            try:
                s.sendall(text.encode() + body)
            except (BrokenPipeError, ConnectionResetError):
                pass  # an answer before the end of the body
            return read_answer(s)

    def predict(self, body, query="", headers=None):
        status, head, answer = self.request("POST", "/v1/predict" + query, body, headers)
        return status, json.loads(answer)

    def metrics(self):
        _, _, body = self.request("GET", "/metrics")
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in body.decode().splitlines() if not line.startswith("#")}

    def wait_for(self, n, timeout=60):
        """Until n POST requests have come as a whole."""
        until = time.time() + timeout
        while time.time() < until:
            m = self.metrics()
            if m["ser_queue_length"] + m["ser_workers_busy"] + m["ser_request_duration_seconds_count"] >= n:
                return
            time.sleep(0.05)
        raise AssertionError(f"{n} requests did not come")

    def log(self):
        try:
            self.lines += self.process.stderr.readlines()
        except TypeError:
            pass
        return self.lines

    def memory(self):
        pages = int(open(f"/proc/{self.process.pid}/statm").read().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def stop(self, how=signal.SIGTERM, timeout=30):
        self.process.send_signal(how)
        status = self.process.wait(timeout)
        self.log()
        self.process.stderr.close()
        return status


def read_answer(s):
    data = b""
    while b"\r\n\r\n" not in data:
        piece = s.recv(65536)
        if not piece:
            return 0, {}, data
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
    length = int(headers.get("content-length", 0))
    while len(body) < length:
        piece = s.recv(65536)
        if not piece:
            break
        body += piece
    return int(lines[0].split()[1]), headers, body


def wav(samples, rate=16000):
    """Floats in [-1, 1] as a mono 16-bit WAV."""
    data = b"".join(struct.pack("<h", max(-32768, min(32767, int(x * 32767)))) for x in samples)
    return b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, rate, 2 * rate, 2, 16) + \
        b"data" + struct.pack("<I", len(data)) + data


def multipart(files, boundary="ser-test-boundary"):
    """[(filename, bytes)] -> body, headers"""
    body = b"".join(f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
                    f"Content-Type: application/octet-stream\r\n\r\n".encode() + content + b"\r\n" for name, content in files)
    return body + f"--{boundary}--\r\n".encode(), {"Content-Type": f"multipart/form-data; boundary={boundary}"}
