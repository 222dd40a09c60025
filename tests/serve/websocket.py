"""A WebSocket as a client speaks it (RFC 6455), for tests. Only 127.0.0.1 is ever asked."""
import base64, json, os, socket, struct


class WebSocket:
    def __init__(self, port, headers="", path="/v1/stream", context=None):
        self.s = socket.create_connection(("127.0.0.1", port), 120)
        if context:
            self.s = context.wrap_socket(self.s, server_hostname="127.0.0.1")
        key = base64.b64encode(os.urandom(16)).decode()
        self.s.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            piece = self.s.recv(1)
            if not piece:
                break
            head += piece
        self.status = int(head.split()[1]) if head else 0

    def send(self, data, binary=True, final=True, opcode=None):
        mask, n = os.urandom(4), len(data)
        first = (0x80 if final else 0) | (opcode if opcode is not None else 2 if binary else 1)
        size = bytes([0x80 | n]) if n < 126 else b"\xfe" + struct.pack(">H", n) if n < 65536 else b"\xff" + struct.pack(">Q", n)
        masked = int.from_bytes(data, "big") ^ int.from_bytes((mask * (n // 4 + 1))[:n], "big")
        self.s.sendall(bytes([first]) + size + mask + masked.to_bytes(n, "big"))

    def tell(self, message):
        self.send(json.dumps(message).encode(), binary=False)

    def ping(self):
        """Returns when everything that was sent has been read: the answer comes in its turn."""
        self.send(b"ser", opcode=9)
        while (head := self._read(2)) and head[0] & 15 != 10:
            self._read(head[1] & 127)
        self._read(head[1] & 127)

    def _read(self, n):
        data = b""
        while len(data) < n:
            piece = self.s.recv(n - len(data))
            if not piece:
                return None
            data += piece
        return data

    def receive(self):
        """The next message as an object; None: the other side has closed."""
        while True:
            head = self._read(2)
            if not head or head[0] & 15 == 8:
                return None
            n = head[1] & 127
            n = struct.unpack(">H", self._read(2))[0] if n == 126 else struct.unpack(">Q", self._read(8))[0] if n == 127 else n
            data = self._read(n)
            if head[0] & 15 == 1:
                return json.loads(data)

    def all(self):
        messages = []
        while (message := self.receive()) is not None:
            messages.append(message)
        return messages

    def close(self):
        self.s.close()
