"""What the tests of the Python package share. Environment: SER_PROGRAM, the program ser, and SER_LIBRARY_DIR, where its libraries lie;
SER_SHARED, optional, is the folder of real recordings."""
import glob, json, os, struct, subprocess, tempfile, unittest, wave

import numpy as np

PROGRAM = os.path.abspath(os.environ["SER_PROGRAM"])
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GOLDEN = os.path.join(TOP, "tests/golden")
SPEECH = "/usr/share/sounds/alsa/Front_Center.wav"  # of Debian's alsa-utils
SOUNDS = sorted(glob.glob("/usr/share/sounds/alsa/*.wav"))
EMODB = sorted(glob.glob(os.path.join(os.environ.get("SER_SHARED", ""), "data/emodb/wav/*.flac")))


def run(*args, status=0, cwd=None, env=None):
    p = subprocess.run([PROGRAM, *map(str, args)], capture_output=True, cwd=cwd, env=env)
    assert p.returncode == status, p.stderr.decode()
    return p.stdout.decode()


def predicted(*args):
    return [json.loads(line) for line in run("predict", "--format", "json", *args).splitlines()]


def samples(path):
    """int16, (n, channels), and the rate."""
    with wave.open(path) as w:
        return np.frombuffer(w.readframes(w.getnframes()), "<i2").reshape(-1, w.getnchannels()), w.getframerate()


def tone(frequency, seconds=0.5, rate=16000, seed=0):
    t = np.arange(int(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * frequency * t) + 0.01 * np.random.default_rng(seed).standard_normal(t.size)).astype(np.float32)


def write_wav(path, x, rate=16000):
    with wave.open(path, "wb") as w:
        w.setnchannels(1), w.setsampwidth(2), w.setframerate(rate)
        w.writeframes(np.clip(32767 * x, -32768, 32767).astype("<i2").tobytes())


def tensors(path):
    """What follows the header, and where in it each tensor lies."""
    with open(path, "rb") as f:
        data = f.read()
    n = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + n])
    header.pop("__metadata__")
    return header, data[8 + n:]


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = folder.name
        before = os.getcwd()
        os.chdir(self.dir)
        self.addCleanup(os.chdir, before)
        old = os.environ.get("XDG_CACHE_HOME")
        os.environ["XDG_CACHE_HOME"] = os.path.join(self.dir, "cache")
        self.addCleanup(lambda: os.environ.pop("XDG_CACHE_HOME") if old is None else os.environ.update(XDG_CACHE_HOME=old))

    def corpus(self, per_class=9):
        """A CSV corpus of tones: one pitch an emotion, three speakers. Its path, the recordings, their emotions, speakers."""
        rows, paths, y, speakers = ["file,emotion,speaker"], [], [], []
        for emotion, frequency in (("angry", 900), ("sad", 200), ("neutral", 450)):
            for i in range(per_class):
                path = os.path.join(self.dir, f"{emotion}{i}.wav")
                write_wav(path, tone(frequency * (1 + 0.03 * i), seed=i + frequency))
                rows.append(f"{emotion}{i}.wav,{emotion},s{i % 3}")
                paths.append(path), y.append(emotion), speakers.append(f"s{i % 3}")
        path = os.path.join(self.dir, "corpus.csv")
        with open(path, "w") as f:
            f.write("\n".join(rows) + "\n")
        return path, paths, y, speakers
