"""What the tests of failures share: small commands that write, and what they leave."""
import json, os, re, shutil, sys, tempfile, zipfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from test_program import SER, voice, write_wav  # noqa: E402

EMOTIONS = ("angry", "neutral", "sad")
NETWORK = ("--feature-type", "LOGMEL", "--epoch", "2", "--filter-size", "4", "--dilation-size", "1", "--stack-size", "1", "--jobs", "1")


def make_corpus(folder, name, shift, per_class=4):
    """A table of recordings of three emotions and two voices."""
    os.makedirs(os.path.join(folder, name))
    with open(os.path.join(folder, name + ".csv"), "w") as table:
        table.write("file,emotion,speaker\n")
        for e, emotion in enumerate(EMOTIONS):
            for i in range(per_class):
                file = f"{name}/{emotion}{i}.wav"
                write_wav(os.path.join(folder, file), voice(110 + 60 * e + 7 * i + shift, 0.4))
                table.write(f"{file},{emotion},v{i % 2}\n")


# Name: the command, and what it makes. {run} begins a run folder "run", which --resume goes on with.
COMMANDS = {
    "train": (("train", "--data", "corpus.csv", *NETWORK, "--run", "run"), ("run",)),
    "evaluate": (("evaluate", "--data", "corpus.csv", "--feature-type", "LOGMEL", "--protocol", "kfold=2", "--augment", "none", "--inner-folds", "2",
                  "--jobs", "1", "--json", "told.json", "--html", "told.html", "--picture", "told.svg", "--run", "run"),
                 ("run", "told.json", "told.html", "told.svg")),
    "train-lmmd": (("train-lmmd", "--data", "corpus.csv", "--target", "other.csv", "--model-type", "timnet", *NETWORK, "--run", "run"), ("run",)),
    "extract": (("extract", "--data", "corpus.csv", "--feature-type", "LOGMEL", "--jobs", "1", "--features-dir", "tree"), ("tree",)),
    "extract-one": (("extract", "--feature-type", "LOGMEL", "--jobs", "1", "-o", "one.npy", "corpus/sad0.wav"), ("one.npy",)),
    "predict": (("predict", "--jobs", "1", "--model", "model.safetensors", "--format", "csv", "-o", "answers.csv", "corpus"), ("answers.csv",)),
    "export": (("export", "--format", "c", "-o", "exported", "model.safetensors"), ("exported",)),
}


def contents(path):
    """Of a file, or of all files in a folder."""
    found = {}
    if os.path.isfile(path):
        with open(path, "rb") as f:
            found[""] = f.read()
    for where, _, names in os.walk(path):
        for n in names:
            with open(os.path.join(where, n), "rb") as f:
                found[os.path.relpath(os.path.join(where, n), path)] = f.read()
    return found


def comparable(name, data):
    """Without what hangs on the time, for files that are whole; raises where one is not."""
    if name.endswith(".json"):
        return re.sub(rb"[0-9]+", b"", json.dumps(json.loads(data), sort_keys=True).encode())
    if name.endswith(".jsonl"):
        return [sorted(json.loads(line)) for line in data.splitlines()]
    if name.endswith(".html"):
        assert data.rstrip().endswith(b"</html>"), name
        return "whole"
    if name.endswith(".xlsx"):
        import io
        assert zipfile.ZipFile(io.BytesIO(data)).testzip() is None, name
        return "whole"
    return data


class Place:
    """A folder for one try, with the corpora and a model in it, copied from a template."""

    template = None

    @classmethod
    def prepare(cls, run):
        cls.template = tempfile.mkdtemp(prefix="ser-test-")
        make_corpus(cls.template, "corpus", 0)
        make_corpus(cls.template, "other", 11)
        run(cls.template, ("train", "--data", "corpus.csv", *NETWORK, "--split-fold", "0", "--run", "made"))
        shutil.move(os.path.join(cls.template, "made", "model.safetensors"), os.path.join(cls.template, "model.safetensors"))
        shutil.rmtree(os.path.join(cls.template, "made"))

    @classmethod
    def clean(cls):
        shutil.rmtree(cls.template)

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="ser-test-")
        for name in os.listdir(self.template):
            os.symlink(os.path.join(self.template, name), os.path.join(self.dir, name))

    def path(self, name):
        return os.path.join(self.dir, name)

    def env(self):
        return dict(os.environ, XDG_CACHE_HOME=self.path("cache"), LC_ALL="C.UTF-8")

    def remove(self):
        for where, folders, _ in os.walk(self.dir):
            for f in folders:
                os.chmod(os.path.join(where, f), 0o755)
        shutil.rmtree(self.dir)
