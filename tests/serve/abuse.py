"""Clients that do everything wrong, many at once, beside one that does everything right. Only against 127.0.0.1, and for a
bounded time. Usage: abuse.py SER [CLIENTS] [SECONDS]; the test suite runs a short form."""
import math, multiprocessing, random, socket, struct, sys, threading, time
from service import Service, wav

program = sys.argv[1]
n_clients = int(sys.argv[2]) if len(sys.argv) > 2 else 100
seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 5
random.seed(1)
tone = wav([0.3 * math.sin(2 * math.pi * 440 * t / 16000) for t in range(16000)])
HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: a\r\n"


def drip(s, data, until):
    for byte in data:
        if time.time() > until:
            return
        s.sendall(bytes([byte]))
        time.sleep(0.05)


def slow_head(s, until):
    drip(s, HEAD * 50, until)


def slow_body(s, until):
    s.sendall(HEAD + b"Content-Length: 100000\r\n\r\n")
    drip(s, tone, until)


def half(s, until):
    data = HEAD + b"Content-Length: %d\r\n\r\n" % len(tone) + tone
    s.sendall(data[:random.randrange(1, len(data))])


def reset(s, until):
    s.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(tone) + tone[:1000])
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def garbage(s, until):
    s.sendall(random.randbytes(random.randrange(1, 5000)))
    s.settimeout(1)
    s.recv(100)


def endless(s, until):
    s.sendall(HEAD + b"Content-Length: 1000000000000\r\n\r\n")
    while time.time() < until:
        s.sendall(b"x" * 65536)


def endless_head(s, until):
    s.sendall(HEAD)
    while time.time() < until:
        s.sendall(b"X-Header: " + b"y" * 1000 + b"\r\n")


def negative(s, until):
    s.sendall(HEAD + b"Content-Length: -5\r\n\r\nabc")
    s.recv(1000)


def gone(s, until):  # the answer is for nobody
    s.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(tone) + tone)


def socket_lies(s, until):  # a WebSocket frame that claims to be enormous
    s.sendall(b"GET /v1/stream HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
    s.recv(1000)
    s.sendall(b"\x82\xff" + struct.pack(">Q", 1 << 62) + b"abcd" + b"z" * 1000)
    s.recv(1000)


def silent(s, until):
    time.sleep(max(0, until - time.time()))


KINDS = [slow_head, slow_body, half, reset, garbage, endless, endless_head, negative, gone, socket_lies, silent]


def client(service, number, until):
    while time.time() < until:
        try:
            with socket.create_connection(("127.0.0.1", service.port), 10) as s:
                s.settimeout(10)
                KINDS[number % len(KINDS)](s, until)
        except OSError:
            pass
        time.sleep(0.1)  # not a flood that fills the kernel's queue of connections: that is no matter of the service


def crowd(service, numbers, until):
    """One process with many of them, so that the honest client has an interpreter for itself."""
    threads = [threading.Thread(target=client, args=(service, i, until), daemon=True) for i in numbers]
    [t.start() for t in threads], [t.join(15) for t in threads]


service = Service(program, "--body-timeout", "60", "--log", "/dev/null")
service.predict(tone)
until = time.time() + seconds
crowds = [multiprocessing.get_context("fork").Process(target=crowd, args=(service, range(k, n_clients, 4), until)) for k in range(4)]
[c.start() for c in crowds]
times, wrong, before = [], [], service.memory()
while time.time() < until:
    began = time.time()
    try:
        status, answer = service.predict(tone)
        if status not in (200, 429, 503):
            wrong.append((status, answer))
    except (OSError, ValueError) as e:
        wrong.append(e)
    times.append(time.time() - began)
[c.join(20) or c.kill() for c in crowds]
status, until = 0, time.time() + 60
while status != 200 and time.time() < until:  # what waits is soon seen to be for nobody
    time.sleep(0.5)
    status, answer = service.predict(tone)
after = service.memory()
times.sort()
print(f"{n_clients} hostile clients for {seconds:g} s: {len(times)} honest requests beside them, median {times[len(times) // 2]:.3f} s, "
      f"slowest {times[-1]:.3f} s, {len(wrong)} not answered; memory {before >> 10} kB, then {after >> 10} kB")
assert status == 200 and not wrong and len(times) >= 1, (status, wrong[:3])
assert service.stop() == 0
