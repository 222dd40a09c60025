#!/usr/bin/env python3
"""Every public function with garbage of every type: an answer, or an exception that derives from ser.Error; nothing else, and no crash.

    test_garbage.py                                a short form
    test_garbage.py fuzz SECONDS [SEED [CALLS]]    as long as is wanted; failures are told with the seed that repeats them
tools/fuzz_python.sh does the latter under the sanitizers.
"""
import contextlib, datetime, decimal, faulthandler, fractions, inspect, io, itertools, os, pathlib, random, shutil, subprocess, sys, tempfile, time, traceback, unittest, warnings

import numpy as np

import ser
from ser import encoders
from common import GOLDEN, tone, write_wav

try:
    import pandas as pd
except ImportError:
    pd = None

CALLS = 600  # of the short form: the same ones on any machine
# Copies in a folder of our own, because what is garbage for one call is the place that another one writes to.
SPEECH, TINY, SOURCE = "speech.wav", "tiny", "source.py"


class Mine(Exception):
    """What an object of the caller's raises by itself may come out as it is."""


class Nasty:
    def _raise(self, *_):
        raise Mine("mine")


def nasty(*names, **values):
    """An object whose methods of these names raise, or give values."""
    methods = {n: Nasty._raise for n in names}
    methods.update({n: (lambda v: lambda self, *_, **__: v)(v) for n, v in values.items()})
    return type("Nasty", (), methods)()


def raising():
    yield SPEECH
    raise Mine("mine")


def closed_file():
    f = io.BytesIO(b"RIFF")
    f.close()
    return f


class Text(str):
    pass


# Made anew for each call, because some are used up by it.
def garbage():
    x = tone(300, 0.2)
    strange = [
        None, True, False, 0, 1, -1, 3, 16000, 2**31, 2**63, -2**63 - 1, 10**400, 0.5, -0.5, float("nan"), float("inf"), 1e308, 1j, decimal.Decimal("0.5"),
        fractions.Fraction(1, 3), datetime.timedelta(seconds=1), datetime.timedelta(days=-10**8), datetime.date(2020, 1, 1),
        "", "a", "-", ".", "missing.wav", "\0", "a\0b", "\ud800", "ä" * 5000, "%s%n%d", "WHISPER", "LOGMEL", "LOGMEL(", "auto", "fp32", "1,2", "all",
        "loso", "kfold=2", "-1", "1e999", "none", Text("LOGMEL"), SPEECH, TINY, SOURCE, "corpus.csv", "short.wav", "broken.wav", "empty",
        b"", b"\xff", b"a\0", b"RIFF", SPEECH.encode(), bytearray(b"RIFF"), memoryview(b"RIFF"), pathlib.Path("missing"), pathlib.Path(SPEECH), pathlib.Path("."),
        [], [None], [[]], [[1], [2, 3]], [1, 2, 3], [0.5] * 800, ["a", "b"], [SPEECH], [SPEECH, None, 5], [("short.wav", 0, 1)], (), (1,), (SPEECH, 0, 1), (SPEECH, 0.1, 0.4),
        (SPEECH, -1, "x"), (SPEECH, None, None), (SPEECH, float("nan"), float("inf")), (None, 1, 2), ("", 0, 1), {}, {1: 2}, {"WHISPER": [1]}, {"a": None}, set(), {1}, frozenset("a"),
        range(3), range(0), iter([SPEECH]), raising(), (i for i in ()), slice(None), ..., NotImplemented, int, ser.Model, len, lambda *a: None, sys,
        object(), type("Empty", (), {})(), nasty("__fspath__"), nasty(__fspath__=5), nasty("__array__"), nasty(__array__="no array"), nasty("__iter__"), nasty("__len__", "__getitem__"),
        nasty(__len__=-1), nasty("__bool__", "__eq__", "__hash__"), nasty("__index__", "__int__", "__float__"), nasty("__str__", "__repr__"), nasty("read"), nasty(read=5), nasty(read=b"RIFF"),
        nasty(__array_interface__={"shape": (-1,), "typestr": "?"}),
        io.BytesIO(b""), io.BytesIO(b"RIFF\xff\xff\xff\xffWAVEfmt "), io.StringIO("RIFF"), closed_file(),
        x, x[:100], x[:0], x.astype(np.int16), x.astype(np.float64), x.astype(np.float16), x.astype(np.longdouble), x.astype(complex), x.astype(object), x.astype(str), x.astype(bool),
        x[::-1], x[::7], x.astype(">f4"), np.full(800, np.nan, np.float32), np.full((800, 2), np.inf), np.zeros((3, 800)), np.zeros((2, 2, 2)), np.zeros((0, 3)), np.zeros((5, 0)), np.float32(1), np.int16(3),
        np.array(5), np.array([[SPEECH, 0, 1]], dtype=object), np.array([None, SPEECH], dtype=object), np.array(["a", "b"]), np.array([b"a"]), np.zeros(3, [("a", "f4")]),
        np.array(["2020-01-01"], "M8[D]"), np.array([1, 2], "m8[s]"), np.timedelta64("NaT"), np.timedelta64(1, "s"), np.datetime64("NaT"), np.ma.masked_all(800), np.zeros(800, np.uint64),
        np.broadcast_to(np.float32(0.1), (4000,)), np.bool_(True), np.float64(0.5), np.str_("LOGMEL"), np.random.default_rng(0),
        CLOSED, MODEL, ENCODER, ser.Error("x"), ser.Answer("x"),
    ]
    if pd is not None:
        strange += [pd.NaT, pd.NA, pd.Timedelta("1s"), pd.Series([SPEECH]), pd.Series([], dtype=object), pd.DataFrame(), pd.DataFrame({"file": [SPEECH]}),
                    pd.DataFrame({"file": [1], "start": ["a"], "end": [None]}), pd.Index([SPEECH], name="file"), pd.Index([1, None], name="file"),
                    pd.MultiIndex.from_arrays([[SPEECH, None], [0, "x"], [pd.NaT, 5]], names=["file", "start", "end"]),
                    pd.MultiIndex.from_arrays([[SPEECH], pd.to_timedelta([0]), pd.to_timedelta([None])], names=["file", "start", "end"])]
    return strange


# name: what makes what is called anew, and arguments that are right.
def targets():
    def of(make, method):
        return lambda: getattr(make(), method)

    fixed = {"data": "corpus.csv", "feature_type": "LOGMEL", "augment": "none"}
    found = {
        "predict": (lambda: ser.predict, {"recording": "short.wav"}), "Model": (lambda: ser.Model, {}), "Stream": (lambda: ser.Stream, {}), "Features": (lambda: fitted, {}),
        "Classifier.fit": (of(lambda: ser.Classifier("LOGMEL", augment="none"), "fit"), {"X": ["short.wav"] * 4, "y": [0, 1, 0, 1]}),
        "Classifier": (lambda: classified, {}), "Encoder": (lambda: encoders.Encoder, {"place": TINY}), "hidden_states": (lambda: encoders.hidden_states, {"recording": "short.wav", "encoder": TINY}),
        "Interface": (lambda: ser.Interface, {}), "Report.open": (lambda: ser.Report.open, {}),
        "evaluate": (lambda: ser.evaluate, {**fixed, "protocol": "kfold=2"}), "train": (lambda: ser.train, {**fixed, "model_type": "linear", "preset": "best", "split_fold": 0}),
        "test": (lambda: ser.test, {"test_path": "missing", "data": "corpus.csv"}), "adapt": (lambda: ser.adapt, {**fixed, "target": "corpus.csv"}),
        "extract": (lambda: ser.extract, {"recording": "short.wav", "output": "out.npy", "feature_type": "LOGMEL"}),
    }
    for name in ("predict", "predict_many", "features_of"):
        found["Model." + name] = (of(lambda: MODEL, name), {"recordings" if name == "predict_many" else "recording": "short.wav"})
    for name in ("transform", "set_params", "set_output", "get_feature_names_out"):
        found["Features." + name] = (of(lambda: ser.Features("LOGMEL"), name), {})
    for name in ("predict", "predict_proba", "score", "save", "set_params"):
        found["Classifier." + name] = (of(lambda: CLASSIFIER, name), {"X": ["short.wav"], "y": ["a"], "path": "saved"})
    found["Stream.push"] = (of(ser.Stream, "push"), {})
    found["Encoder.hidden_states"] = (of(lambda: ENCODER, "hidden_states"), {"recording": "short.wav"})
    if pd is not None:
        for name in ("process_file", "process_files", "process_folder", "process_index", "process_table", "process_signal"):
            found["Interface." + name] = (of(ser.Interface, name), {})
    return found


def fitted(**settings):
    return ser.Features(**settings).fit_transform(["short.wav"])


fitted.__signature__ = inspect.signature(ser.Features)


def classified(**settings):
    return ser.Classifier(**settings).fit(["short.wav"] * 4, [0, 1, 0, 1])


classified.__signature__ = inspect.Signature([*inspect.signature(ser.Classifier).parameters.values()][:-1] + [
    inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY) for n in ("layers", "seed", "c", "jobs", "encoder")])
# Settings of jobs that a call may get besides those of its signature: all that are harmless in a folder of one's own.
SETTINGS = ("feature_type", "layers", "hop_length", "pad", "encoder", "precision", "engine", "seed", "c", "model_type", "inner_folds", "normalize", "folds", "no_such_setting",
            "features_dir", "data_dir", "mapping", "augment", "preset", "target", "split_fold")


def prepare():
    global MODEL, CLOSED, ENCODER, CLASSIFIER
    for name in ("short.wav", SPEECH):
        write_wav(name, tone(300, 0.2))
    shutil.copytree(os.path.join(GOLDEN, "encoder/tiny"), TINY)
    shutil.copy(__file__, SOURCE)
    with open("broken.wav", "wb") as f:
        f.write(b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\1\0\0\0\0\0\0\0" + bytes(100))
    open("empty", "w").close()
    with open("corpus.csv", "w") as f:
        f.write("file,emotion\n" + "".join(f"short.wav,{e}\n" for e in "abab"))
    MODEL, CLOSED, ENCODER = ser.Model(), ser.Model(), encoders.Encoder(TINY)
    CLOSED.close()
    CLASSIFIER = ser.Classifier("LOGMEL", augment="none").fit([tone(f * (1 + i / 30), 0.2) for f in (200, 900) for i in range(4)], np.repeat(["a", "b"], 4))


def arguments(rng, call, right):
    """Right ones, with one to three that are garbage."""
    parameters = [p for p in inspect.signature(call).parameters.values()]
    names = [p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    if call in (ser.evaluate, ser.train, ser.test, ser.adapt, ser.extract):
        names += SETTINGS
    if any(p.kind == p.VAR_KEYWORD for p in parameters) and call not in (ser.evaluate, ser.train, ser.test, ser.adapt, ser.extract):
        names += ["colour"]
    pool = garbage()
    chosen = {n: v for n, v in right.items() if n in names}
    for name in rng.sample(names, min(len(names), rng.choice((1, 1, 1, 2, 3)))):
        chosen[name] = rng.choice(pool)
    for p in parameters:  # those that must be there
        if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL) and p.name not in chosen:
            chosen[p.name] = rng.choice(pool)
    return chosen


def shown(value):
    try:
        return repr(value)[:200]
    except Exception:
        return f"a {type(value).__name__}"


def of_ours(f):
    """A callback whose exceptions can be told from the package's: they have to come out as they are."""
    def call(*arguments):
        try:
            return f(*arguments)
        except Exception as e:
            raise Mine from e
    return call


told = set()  # where something else was raised


def one(seed, i, all_targets):
    rng = random.Random(f"{seed}/{i}")
    name = rng.choice(sorted(all_targets))
    make, right = all_targets[name]
    call = make()
    given = arguments(rng, call, right)
    for callback in ("progress", "on_epoch", "on_message"):
        if callable(given.get(callback)):
            given[callback] = of_ours(given[callback])
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            call(**given)
    except (ser.Error, Mine):
        pass
    except BaseException as e:
        if isinstance(e, KeyboardInterrupt):
            raise
        where = traceback.extract_tb(e.__traceback__)[-1]
        if (where.filename, where.lineno, type(e)) not in told:
            told.add((where.filename, where.lineno, type(e)))
            print(f"seed {seed}, call {i}: {name}({', '.join(f'{k}={shown(v)}' for k, v in given.items())})", file=sys.stderr)
            traceback.print_exc()


def fuzz(seconds, seed, n_calls=None):
    faulthandler.enable()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ.update(SER_DATA_DIR=folder, XDG_CACHE_HOME=folder, HF_HOME=folder)
        prepare()
        every, until = targets(), time.monotonic() + seconds
        for i in itertools.count():
            if i == n_calls or time.monotonic() > until:
                break
            one(seed, i, every)
        os.chdir("/")
    if told:
        sys.exit(f"{len(told)} exceptions that are not ser's own in {i} calls")
    print(f"{i} calls of {len(every)} functions with garbage: answers, and exceptions of ser")


class Garbage(unittest.TestCase):
    def test_short(self):
        p = subprocess.run([sys.executable, os.path.abspath(__file__), "fuzz", "600", "1", str(CALLS)], capture_output=True, text=True, timeout=900)
        self.assertEqual(p.returncode, 0, p.stderr[-4000:])


if __name__ == "__main__":
    if sys.argv[1:2] == ["fuzz"]:
        fuzz(float(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else str(random.randrange(10**6)),
             int(sys.argv[4]) if len(sys.argv) > 4 else None)
    else:
        unittest.main()
