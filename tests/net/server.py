"""A small HTTP server whose answers the tests choose, the well-behaved and the others."""
import hashlib, http.server, json, threading, time


class Server:
    """routes: from a path to what answers it, a function of the request's handler."""

    def __init__(self):
        self.routes, self.log, self.lock, self.ended = {}, [], threading.Lock(), threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                with outer.lock:
                    outer.log.append((self.path, dict(self.headers)))
                answer = outer.routes.get(self.path, status(404))
                try:
                    answer(self)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def log_message(self, *_):
                pass

        class Http(http.server.ThreadingHTTPServer):
            def handle_error(self, *_):
                pass  # clients go away, that is what is tested

        self.http = Http(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.ended = self.ended
        self.url = "http://127.0.0.1:%d" % self.http.server_port
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.ended.set()
        self.http.shutdown()
        self.http.server_close()

    def requests(self, path):
        with self.lock:
            return [headers for p, headers in self.log if p == path]


def send(h, code, body=b"", **headers):
    h.send_response(code)
    for name, value in headers.items():
        h.send_header(name.replace("_", "-"), value)
    if "Content_Length" not in headers:
        h.send_header("Content-Length", str(len(body)))
    h.end_headers()
    h.wfile.write(body)


def status(code, **headers):
    return lambda h: send(h, code, b"no", **headers)


def redirect(url):
    return lambda h: send(h, 302, Location=url)


def times(*answers):
    """The first request gets the first answer, ..., and all further ones the last."""
    left = list(answers)
    return lambda h: (left.pop(0) if len(left) > 1 else left[0])(h)


def file(data, ranges=True, etag=None, cut=None, stall=None, pace=None, size=None):
    """cut, stall: after so many bytes of each answer the connection breaks, or nothing more comes. pace: seconds for
    the whole. size: what Content-Length says, when not the truth."""
    etag = etag or '"%s"' % hashlib.sha1(data).hexdigest()

    def answer(h):
        wanted, start = h.headers.get("Range"), 0
        unchanged = h.headers.get("If-Range") in (None, etag)
        if wanted and ranges and unchanged:
            start = int(wanted[len("bytes="):-1])
            if start >= len(data):
                return send(h, 416, Content_Range="bytes */%d" % len(data))
        h.send_response(206 if start else 200)
        if start:
            h.send_header("Content-Range", "bytes %d-%d/%d" % (start, len(data) - 1, len(data)))
        h.send_header("ETag", etag)
        h.send_header("Content-Length", str((size or len(data)) - start))
        h.end_headers()
        end = min(x for x in (len(data), cut and start + cut, stall and start + stall) if x)
        step = max(1, len(data) // 20) if pace else end - start
        for i in range(start, end, step or 1):
            h.wfile.write(data[i:min(i + step, end)])
            if pace and h.server.ended.wait(pace / 20):
                break
        if stall:
            h.wfile.flush()
            h.server.ended.wait(60)
        if end < (size or len(data)):
            h.close_connection = True

    return answer


def git_hash(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


COMMIT = "0123456789abcdef0123456789abcdef01234567"


def listing(files, commit=COMMIT):
    """As the hub states it: large files (here: weights) by SHA-256, others by their hash in git."""
    siblings = []
    for name, data in files.items():
        s = {"rfilename": name, "size": len(data), "blobId": git_hash(data)}
        if name.endswith((".safetensors", ".bin", ".h5")):
            s["blobId"] = git_hash(b"a pointer to " + name.encode())
            s["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
        siblings.append(s)
    return {"id": "some/model", "sha": commit, "private": False, "gated": False, "siblings": siblings}


def host_model(server, name, files, commit=COMMIT):
    """Returns the paths below which its files lie."""
    body = json.dumps(listing(files, commit)).encode()
    server.routes["/api/models/%s/revision/main?blobs=true" % name] = lambda h: send(h, 200, body, Content_Type="application/json")
    base = "/%s/resolve/%s/" % (name, commit)
    for file_name, data in files.items():
        server.routes[base + file_name] = file(data)
    return base
