#!/usr/bin/env python3
"""Runs `ser pull` against a server that breaks, lies, stalls and redirects. Needs nothing but Python's own library.

Usage: test_pull.py PATH_OF_SER        (the environment: SER_TEST_DIR, the folder tests/)
"""
import concurrent.futures, hashlib, io, json, os, resource, shlex, shutil, signal, socket, ssl, stat, subprocess, sys, tempfile, time
import unittest, wave, zipfile
from server import *

SER = os.path.abspath(sys.argv.pop(1))
TESTS = os.environ.get("SER_TEST_DIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
NAME = "some/model"
FILES = {
    ".gitattributes": b"*.bin lfs",
    "README.md": b"# a model",
    "config.json": b'{"model_type": "hubert"}\n',
    "preprocessor_config.json": b'{"do_normalize": true}',
    "processor_config.json": b'{"feature_extractor": {"do_normalize": true}}',
    "pytorch_model.bin": b"older weights" * 100,
    "model.safetensors": os.urandom(3_000_000),
    "tf_model.h5": b"not for us" * 100,
}
WEIGHTS = FILES["model.safetensors"]
WEIGHTS_HASH = hashlib.sha256(WEIGHTS).hexdigest()


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp()
        self.server = Server()
        self.addCleanup(shutil.rmtree, self.dir)
        self.addCleanup(self.server.close)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "XDG_", "SER_DATA", "http", "HTTP"))}
        self.env.update(HF_HOME=self.path("hf"), XDG_CACHE_HOME=self.path("cache"), HF_HUB_DOWNLOAD_TIMEOUT="1", LC_ALL="C.UTF-8")
        self.root = self.path("hf/hub/models--some--model")
        self.base = host_model(self.server, NAME, FILES)
        self.weights_path = self.base + "model.safetensors"
        self.part = os.path.join(self.root, "blobs", WEIGHTS_HASH + ".incomplete")

    def path(self, name):
        return os.path.join(self.dir, name)

    def nobody(self):
        """An address at which nobody listens, or will."""
        s = socket.socket()
        self.addCleanup(s.close)
        s.bind(("127.0.0.1", 0))
        return "http://127.0.0.1:%d" % s.getsockname()[1]

    def start(self, *args, **kw):
        return subprocess.Popen([SER, *args], env=self.env, cwd=self.dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kw)

    def ser(self, *args, status=0, **kw):
        p = self.start(*args, **kw)
        out, err = p.communicate(timeout=60)
        self.assertEqual(p.returncode, status, "%s\nstdout: %s\nstderr: %s" % (args, out, err))
        return out, err

    def pull(self, name=NAME, status=0, endpoint=None, **kw):
        return self.ser("pull", "--endpoint", endpoint or self.server.url, name, status=status, **kw)

    def refuse(self, words, name=NAME, **kw):
        """One line of complaint, and no model that anybody would find."""
        out, err = self.pull(name, status=1, **kw)
        self.assertEqual(out, "")
        lines = [line for line in err.splitlines() if line.startswith("ser: ")]
        self.assertEqual(len(lines), 1, err)
        self.assertTrue(lines[0].startswith("ser: %s: " % name), err)
        self.assertIn(words, lines[0])
        self.assertFalse(os.path.exists(os.path.join(self.root, "refs/main")))
        return lines[0]

    def blobs(self):
        try:
            return os.listdir(os.path.join(self.root, "blobs"))
        except FileNotFoundError:
            return []

    def check_pulled(self):
        with open(os.path.join(self.root, "refs/main")) as f:
            self.assertEqual(f.read(), COMMIT)
        for name in ("config.json", "preprocessor_config.json", "model.safetensors"):
            with open(os.path.join(self.root, "snapshots", COMMIT, name), "rb") as f:
                self.assertEqual(f.read(), FILES[name])
        self.assertFalse([b for b in self.blobs() if "incomplete" in b])

    def wait_for(self, what):
        for _ in range(500):
            if what():
                return
            time.sleep(0.02)
        self.fail("it did not happen")


class Models(Case):
    def test_layout_is_the_hubs_own(self):
        out, err = self.pull()
        self.check_pulled()
        folder = os.path.join(self.root, "snapshots", COMMIT)
        self.assertEqual(out, folder + "\n")
        self.assertEqual(sorted(os.listdir(folder)), ["config.json", "model.safetensors", "preprocessor_config.json", "processor_config.json"])
        self.assertEqual(os.readlink(folder + "/model.safetensors"), "../../blobs/" + WEIGHTS_HASH)
        self.assertEqual(os.readlink(folder + "/config.json"), "../../blobs/" + git_hash(FILES["config.json"]))
        self.assertTrue(os.path.exists(self.path("hf/hub/.locks/models--some--model/%s.lock" % WEIGHTS_HASH)))
        self.assertIn("some/model: config.json: 25 bytes, git hash as the hub states", err)
        self.assertIn("some/model: model.safetensors: 3.0 MB, sha256 as the hub states", err)
        for unwanted in ("pytorch_model.bin", "tf_model.h5", "README.md"):
            self.assertFalse(self.server.requests(self.base + unwanted))

    def test_nothing_is_fetched_twice(self):
        self.pull()
        _, err = self.pull()
        self.assertEqual(len(self.server.requests(self.weights_path)), 1)
        self.assertIn("was there", err)

    def test_what_was_damaged_since_is_fetched_again(self):
        self.pull()
        with open(os.path.join(self.root, "blobs", WEIGHTS_HASH), "r+b") as f:
            f.write(b"oops")
        self.pull()
        self.check_pulled()

    def test_new_commit(self):
        self.pull()
        commit = "f" * 40
        host_model(self.server, NAME, dict(FILES, **{"config.json": b"{}"}), commit)
        out, _ = self.pull()
        self.assertTrue(out.endswith(commit + "\n"))
        with open(out.strip() + "/config.json", "rb") as f:
            self.assertEqual(f.read(), b"{}")
        self.assertEqual(len(self.server.requests(self.base + "model.safetensors")), 1)

    def test_shards(self):
        files = {"config.json": b"{}", "model-00001-of-00002.safetensors": b"one" * 50, "model-00002-of-00002.safetensors": b"two" * 50,
                 "model-00003-of-00002.safetensors": b"of nobody"}
        files["model.safetensors.index.json"] = json.dumps(
            {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}).encode()
        host_model(self.server, NAME, files)
        out, _ = self.pull()
        self.assertEqual(sorted(os.listdir(out.strip())), ["config.json"] + sorted(n for n in files if n[0] == "m" and "00003" not in n))

    def test_shard_outside_the_folder(self):
        for name in ("../../../x.safetensors", "/etc/passwd", "missing.safetensors"):
            files = {"config.json": b"{}", "model.safetensors.index.json": json.dumps({"weight_map": {"a": name}}).encode()}
            host_model(self.server, NAME, files)
            self.refuse("")

    def test_older_weights(self):
        files = {n: FILES[n] for n in ("config.json", "pytorch_model.bin")}
        host_model(self.server, NAME, files)
        out, _ = self.pull()
        self.assertEqual(sorted(os.listdir(out.strip())), sorted(files))

    def test_no_weights(self):
        host_model(self.server, NAME, {n: FILES[n] for n in ("config.json", "tf_model.h5")})
        self.refuse("neither model.safetensors nor pytorch_model.bin")

    def test_cache_folder_variables(self):
        self.env["HF_HUB_CACHE"] = self.path("elsewhere")
        out, _ = self.pull()
        self.assertTrue(out.startswith(self.path("elsewhere/models--some--model/")))
        del self.env["HF_HUB_CACHE"], self.env["HF_HOME"]
        out, _ = self.pull()
        self.assertTrue(out.startswith(self.path("cache/huggingface/hub/models--some--model/")))

    def test_endpoint_variable(self):
        self.env["HF_ENDPOINT"] = self.server.url + "/"
        self.ser("pull", NAME)
        self.check_pulled()

    def test_several_names_and_one_fails(self):
        _, err = self.ser("pull", "--endpoint", self.server.url, "no/model", NAME, status=1)
        self.assertIn("ser: no/model: ", err)
        self.check_pulled()


class ByName(Case):
    """A tiny checkpoint under the names that users type."""

    def host(self, name, golden):
        folder = os.path.join(TESTS, "golden/encoder", golden)
        files = {}
        for n in ("config.json", "model.safetensors", "preprocessor_config.json"):
            if os.path.exists(os.path.join(folder, n)):
                with open(os.path.join(folder, n), "rb") as f:
                    files[n] = f.read()
        host_model(self.server, name, files)
        return folder

    def extract(self, kind, *args, status=0):
        out = self.path("%s.npy" % len(os.listdir(self.dir)))
        with wave.open(self.path("a.wav"), "wb") as f:
            f.setparams((1, 2, 16000, 0, "NONE", ""))
            f.writeframes(bytes(range(250)) * 100)
        _, err = self.ser("extract", "--feature-type", kind, "--layers", "1", "-o", out, self.path("a.wav"), *args, status=status)
        if status:
            return err
        with open(out, "rb") as f:
            return f.read()

    def test_encoder_by_name_and_by_default(self):
        for kind, name, golden in (("HUBERT", "facebook/hubert-base-ls960", "hubert_base"), ("WHISPER", "openai/whisper-base", "tiny")):
            folder = self.host(name, golden)
            for args in ((), ("--encoder", name)):
                err = self.extract(kind, *args, status=1)
                self.assertTrue(err.startswith("ser: ") and err.endswith("ser pull %s\n" % name) and err.count("\n") == 1, err)
            self.pull(name)
            wanted = self.extract(kind, "--encoder", folder)
            self.assertEqual(self.extract(kind, "--encoder", name), wanted)
            self.assertEqual(self.extract(kind), wanted)

    def test_partly_fetched_by_another_program(self):
        self.host("openai/whisper-base", "tiny")
        out, _ = self.pull("openai/whisper-base")
        os.unlink(out.strip() + "/model.safetensors")
        self.assertIn("ser pull openai/whisper-base", self.extract("WHISPER", status=1))


class Broken(Case):
    def test_goes_on_where_it_broke(self):
        self.server.routes[self.weights_path] = times(file(WEIGHTS, cut=1_000_000), file(WEIGHTS))
        self.pull()
        self.check_pulled()
        self.assertEqual([r.get("Range") for r in self.server.requests(self.weights_path)], [None, "bytes=1000000-"])

    def test_breaks_each_time(self):
        self.server.routes[self.weights_path] = file(WEIGHTS, cut=100_000)
        self.refuse("the connection to 127.0.0.1")
        self.assertGreater(os.path.getsize(self.part), 300_000)
        self.assertEqual(len(self.server.requests(self.weights_path)), 4)
        self.server.routes[self.weights_path] = file(WEIGHTS)
        self.pull()
        self.check_pulled()
        self.assertEqual(self.server.requests(self.weights_path)[-1]["Range"], "bytes=400000-")

    def test_stalls(self):
        self.server.routes[self.weights_path] = times(file(WEIGHTS, stall=100_000), file(WEIGHTS))
        self.pull()
        self.check_pulled()

    def test_stalls_each_time(self):
        self.server.routes[self.weights_path] = file(WEIGHTS, stall=10)
        self.refuse("sent nothing for 1 s")

    def test_does_not_answer(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        self.refuse("sent nothing for 1 s", endpoint="http://127.0.0.1:%d" % listener.getsockname()[1])

    def interrupted(self, signal_number):
        self.server.routes[self.weights_path] = times(file(WEIGHTS, stall=1_500_000), file(WEIGHTS))
        self.env["HF_HUB_DOWNLOAD_TIMEOUT"] = "30"
        p = self.start("pull", "--endpoint", self.server.url, NAME)
        self.wait_for(lambda: os.path.exists(self.part) and os.path.getsize(self.part) == 1_500_000)
        p.send_signal(signal_number)
        _, err = p.communicate(timeout=20)
        self.assertFalse(os.path.exists(os.path.join(self.root, "refs/main")))
        self.pull()
        self.check_pulled()
        self.assertEqual(self.server.requests(self.weights_path)[-1]["Range"], "bytes=1500000-")
        return p.returncode, err

    def test_interrupted(self):
        code, err = self.interrupted(signal.SIGINT)
        self.assertEqual(code, 130)
        self.assertIn("ser: some/model: ", err)
        self.assertIn("goes on from there", err)

    def test_killed(self):
        self.interrupted(signal.SIGKILL)

    def test_no_ranges(self):
        self.server.routes[self.weights_path] = times(file(WEIGHTS, cut=1_000_000), file(WEIGHTS, ranges=False))
        self.pull()
        self.check_pulled()

    def test_part_of_another_file(self):
        os.makedirs(os.path.dirname(self.part))
        for size in (1000, len(WEIGHTS), len(WEIGHTS) + 5):
            with open(self.part, "wb") as f:
                f.write(b"x" * size)
            self.pull()
            self.check_pulled()
            shutil.rmtree(os.path.join(self.root, "blobs"))
            os.makedirs(os.path.join(self.root, "blobs"))

    def test_full_disk(self):
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
        self.refuse("free some space", preexec_fn=limit)
        self.assertEqual(os.path.getsize(self.part), 1_000_000)
        self.pull()
        self.check_pulled()
        self.assertEqual(self.server.requests(self.weights_path)[-1]["Range"], "bytes=1000000-")

    @unittest.skipIf(os.geteuid() == 0, "root may write anywhere")
    def test_no_permission(self):
        os.makedirs(self.path("hf"), mode=0o500)
        self.refuse("cannot be made")

    def test_two_at_once(self):
        self.server.routes[self.weights_path] = file(WEIGHTS, pace=1)
        both = [self.start("pull", "--endpoint", self.server.url, NAME) for _ in range(2)]
        for p in both:
            _, err = p.communicate(timeout=30)
            self.assertEqual(p.returncode, 0, err)
        self.check_pulled()
        self.assertEqual(len(self.server.requests(self.weights_path)), 1)

    def test_no_network(self):
        self.refuse("cannot be reached (Connection refused)", endpoint=self.nobody())
        self.refuse("there is no way to nowhere.invalid", endpoint="http://nowhere.invalid")


class Lies(Case):
    def nothing_kept(self):
        self.assertFalse([b for b in self.blobs() if b.startswith(WEIGHTS_HASH)])

    def test_size(self):
        for wrong in (WEIGHTS[:-1], WEIGHTS + b"!"):
            self.server.routes[self.weights_path] = file(wrong)
            self.refuse("bytes of it, and 3000000 are stated")
            self.nothing_kept()

    def test_more_than_it_says(self):
        def endless(h):
            h.send_response(200)
            h.end_headers()
            h.close_connection = True
            for _ in range(100):
                h.wfile.write(WEIGHTS)
        self.server.routes[self.weights_path] = endless
        self.refuse("sends more than the 3000000 bytes")
        self.nothing_kept()

    def test_less_than_it_says(self):
        def short(h):
            h.send_response(200)
            h.end_headers()
            h.close_connection = True
            h.wfile.write(WEIGHTS[:1000])
        self.server.routes[self.weights_path] = short
        self.refuse("only 1000 of 3000000 bytes came")

    def test_hash(self):
        self.server.routes[self.weights_path] = file(b"x" * len(WEIGHTS))
        self.refuse("model.safetensors: its sha256 is ")
        self.nothing_kept()

    def test_git_hash(self):
        self.server.routes[self.base + "config.json"] = file(b"x" * len(FILES["config.json"]))
        self.refuse("config.json: its git hash is ")

    def test_another_part_than_asked_for(self):
        def shifted(h):
            start = 0 if h.headers.get("Range") is None else 5
            send(h, 206, WEIGHTS[start:], Content_Range="bytes %d-%d/%d" % (start, len(WEIGHTS) - 1, len(WEIGHTS)))
        self.server.routes[self.weights_path] = times(file(WEIGHTS, cut=1_000_000), shifted)
        self.pull()
        self.check_pulled()

    def test_answers(self):
        path = "/api/models/some/model/revision/main?blobs=true"
        good = listing(FILES)
        no_hash = dict(good, siblings=[{"rfilename": s["rfilename"]} for s in good["siblings"]])
        for body, words in ((b"<html>", "is not JSON"), (b"", "is not JSON"), (b"[" * 100000, "is not JSON"), (b"[]", "names no commit"),
                            (json.dumps(dict(good, sha="../../x")).encode(), "names no commit"),
                            (json.dumps(dict(good, siblings=7)).encode(), "lists no files"),
                            (json.dumps(dict(good, siblings=good["siblings"] * 2)).encode(), "lists a file twice"),
                            (json.dumps(no_hash).encode(), "states no size and hash"), (b" " * (17 << 20), "more than")):
            self.server.routes[path] = lambda h, body=body: send(h, 200, body)
            self.refuse(words)


class Redirects(Case):
    def setUp(self):
        super().setUp()
        self.other = Server()
        self.addCleanup(self.other.close)
        self.other.routes["/cdn"] = file(WEIGHTS)

    def test_token_stays_with_its_host(self):
        self.env["HF_TOKEN"] = "hf_secret"
        self.server.routes[self.weights_path] = redirect(self.other.url + "/cdn")
        self.pull()
        self.check_pulled()
        self.assertEqual(self.server.requests(self.weights_path)[0]["Authorization"], "Bearer hf_secret")
        self.assertNotIn("Authorization", self.other.requests("/cdn")[0])

    def test_token_stays_with_its_host_name(self):
        self.env["HF_TOKEN"] = "hf_secret"
        self.server.routes[self.weights_path] = redirect(self.server.url.replace("127.0.0.1", "localhost") + "/cdn")
        self.server.routes["/cdn"] = file(WEIGHTS)
        self.pull()
        self.assertNotIn("Authorization", self.server.requests("/cdn")[0])

    def test_no_token_where_none_is_set(self):
        self.pull()
        self.assertFalse([r for _, r in self.server.log if "Authorization" in r])

    def test_relative(self):
        self.server.routes[self.weights_path] = redirect("/cdn")
        self.server.routes["/cdn"] = times(file(WEIGHTS, cut=1_000_000), file(WEIGHTS))
        self.pull()
        self.check_pulled()

    def test_circle(self):
        self.server.routes[self.weights_path] = redirect(self.weights_path)
        self.refuse("from one address to the next without end")
        self.assertLess(len(self.server.requests(self.weights_path)), 10)

    def test_to_a_file(self):
        for target in ("file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x"):
            self.server.routes[self.weights_path] = redirect(target)
            self.refuse("not fetched from")


@unittest.skipUnless(shutil.which("openssl"), "no openssl to make a certificate with")
class Encrypted(Case):
    """The server has a certificate that nobody signed but itself."""

    def setUp(self):
        super().setUp()
        cert = self.cert = self.path("cert.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", self.path("key.pem"),
                        "-out", cert, "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, self.path("key.pem"))
        self.server.http.socket = context.wrap_socket(self.server.http.socket, server_side=True)
        self.server.url = self.server.url.replace("http:", "https:")
        self.env.pop("SSL_CERT_FILE", None)

    def test_certificate_of_nobody(self):
        """Who is not who he says he is gets neither a request nor the token."""
        self.env["HF_TOKEN"] = "hf_secret"
        self.refuse("does not prove who it is")
        self.assertEqual(self.server.log, [])

    def test_certificate_that_the_user_trusts(self):
        self.env["SSL_CERT_FILE"] = self.cert
        self.pull()
        self.check_pulled()

    def test_file_without_certificates(self):
        self.env["SSL_CERT_FILE"] = self.path("missing.pem")
        _, err = self.pull(status=2)
        self.assertEqual(err, "ser: some/model: SSL_CERT_FILE: %s holds no certificates that can be read\n" % self.path("missing.pem"))

    def test_redirect_to_no_encryption(self):
        """Nothing of what began encrypted goes on without it: neither the list of files nor a file."""
        self.env["SSL_CERT_FILE"] = self.cert
        plain = Server()
        self.addCleanup(plain.close)
        host_model(plain, NAME, FILES)
        for path in (self.weights_path, "/api/models/some/model/revision/main?blobs=true"):
            self.server.routes[path] = redirect(plain.url + path)
            self.refuse("such as from https to http")
            self.assertTrue(self.server.requests(path))
        self.assertEqual(plain.log, [])


class Codes(Case):
    def listing(self, answer):
        self.server.routes["/api/models/some/model/revision/main?blobs=true"] = answer

    def test_unknown_model(self):
        self.refuse("has no such model: check the name", name="no/model")

    def test_private_model(self):
        self.listing(status(401))
        self.refuse("has no such model, or it needs an HF_TOKEN: check the name")
        self.env["HF_TOKEN"] = "hf_wrong"
        self.refuse("has no such model that HF_TOKEN may see")

    def test_gated_model(self):
        self.server.routes[self.weights_path] = status(403)
        self.refuse("does not give it to everybody (403)")
        self.listing(status(403))
        self.refuse("those whom its owner allows")

    def test_missing_file(self):
        self.server.routes[self.weights_path] = status(404)
        self.refuse("does not have it (404)")

    def test_busy_for_a_moment(self):
        good = file(WEIGHTS)
        self.server.routes[self.weights_path] = times(status(429, Retry_After="1"), status(503), good)
        self.pull()
        self.check_pulled()

    def test_busy(self):
        self.server.routes[self.weights_path] = status(503)
        self.refuse("answers with the error 503")
        self.assertEqual(len(self.server.requests(self.weights_path)), 4)

    def test_busy_for_long(self):
        self.server.routes[self.weights_path] = status(429, Retry_After="3600")
        self.refuse("too many requests (429)")
        self.assertEqual(len(self.server.requests(self.weights_path)), 1)


class Usage(Case):
    def test_wrong_usage_is_2(self):
        for args in ((), ("justaname",), ("../../etc",), ("a/b/c",), ("a/..",), ("-x/y",), ("a/--b",), ("--endpoint", "ftp://x", NAME),
                     ("--endpoint", "x", NAME)):
            _, err = self.ser("pull", *args, status=2)
            self.assertTrue(err.startswith("ser: "), err)
        self.assertIn("did you mean RAVDESS?", self.ser("pull", "ravdes", status=2)[1])
        self.assertFalse(os.path.exists(self.path("hf")))


def archive(*entries):
    """entries: name, content, and perhaps the Unix mode."""
    f = io.BytesIO()
    with zipfile.ZipFile(f, "w", zipfile.ZIP_DEFLATED) as z:
        for name, content, *mode in entries:
            info = zipfile.ZipInfo(name)
            info.external_attr = (mode[0] if mode else stat.S_IFREG | 0o644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            z.writestr(info, content)
    return f.getvalue()


class Corpora(Case):
    EMODB, RECORD = "/download/download.zip", "/api/records/1188976"
    RAVDESS = RECORD + "/files/Audio_Speech_Actors_01-24.zip/content"

    def setUp(self):
        super().setUp()
        self.zip = archive(("wav/", b""), ("wav/03a01Wa.wav", os.urandom(2_000_000)), ("erkennung.txt", b"x"))
        self.server.routes[self.EMODB] = file(self.zip)

    def host_ravdess(self, data, md5=None):
        record = {"files": [{"key": "other.zip", "size": 1, "checksum": "md5:" + "0" * 32},
                            {"key": "Audio_Speech_Actors_01-24.zip", "size": len(data), "checksum": "md5:" + (md5 or hashlib.md5(data).hexdigest())}]}
        self.server.routes[self.RECORD] = lambda h: send(h, 200, json.dumps(record).encode())
        self.server.routes[self.RAVDESS] = file(data)

    def refuse(self, words, name="emodb", **kw):
        line = super().refuse(words, name=name, **kw)
        self.assertFalse([n for n in self.listed() if n.upper() in ("EMODB", "RAVDESS") or n.endswith(".unpacking")])
        return line

    def listed(self):
        return sorted(os.listdir(self.path("data/raw"))) if os.path.exists(self.path("data/raw")) else []

    def test_without_a_stated_hash(self):
        out, err = self.pull("emodb")
        self.assertEqual(out, "data/raw/EMODB\n")
        self.assertEqual(self.listed(), ["EMODB"])
        self.assertEqual(sorted(os.listdir(self.path("data/raw/EMODB"))), ["erkennung.txt", "wav"])
        self.assertIn("2.0 MB, as many bytes as the server has; the publisher states no hash", err)
        self.assertIn("there already", self.pull("EMODB")[1])
        self.assertEqual(len(self.server.requests(self.EMODB)), 1)

    def test_with_a_stated_hash(self):
        self.host_ravdess(archive(("Actor_01/03-01-01-01-01-01-01.wav", b"RIFF" * 1000)))
        out, err = self.ser("pull", "--endpoint", self.server.url, "--data-dir", "corpora", "ravdess")
        self.assertEqual(out, "corpora/RAVDESS\n")
        self.assertIn("MD5 as the publisher states", err)
        self.assertEqual(os.listdir(self.path("corpora/RAVDESS/Actor_01")), ["03-01-01-01-01-01-01.wav"])

    def test_wrong_hash(self):
        self.host_ravdess(self.zip, "1" * 32)
        self.refuse("its MD5 is ", "ravdess")
        self.assertEqual(self.listed(), [])

    def test_hash_not_stated_where_it_should_be(self):
        self.server.routes[self.RECORD] = lambda h: send(h, 200, b'{"files": [{"key": "Audio_Speech_Actors_01-24.zip"}]}')
        self.refuse("states no size and MD5", "ravdess")
        self.server.routes[self.RECORD] = lambda h: send(h, 200, b'{"files": {}}')
        self.refuse("does not list the corpus", "ravdess")

    def test_goes_on_where_it_broke(self):
        self.server.routes[self.EMODB] = times(file(self.zip, cut=1_000_000), file(self.zip))
        self.pull("emodb")
        second = self.server.requests(self.EMODB)[1]
        self.assertEqual(second["Range"], "bytes=1000000-")
        self.assertIn("If-Range", second)
        self.assertEqual(self.listed(), ["EMODB"])

    def test_nothing_came(self):
        """What was made for it goes again, and nothing of anybody else's."""
        nobody = self.nobody()
        self.refuse("cannot be reached", endpoint=nobody)
        self.assertFalse(os.path.exists(self.path("data")))
        os.makedirs(self.path("data"))
        self.refuse("cannot be reached", endpoint=nobody)
        self.assertEqual(os.listdir(self.path("data")), [])
        os.makedirs(self.path("data/raw/other"))
        self.refuse("cannot be reached", endpoint=nobody)
        self.assertEqual(self.listed(), ["other"])

    def test_changed_meanwhile(self):
        other = archive(("wav/03a01Fa.wav", os.urandom(2_000_000)))
        self.server.routes[self.EMODB] = times(file(self.zip, cut=1_000_000), file(other))
        self.pull("emodb")
        self.assertEqual(os.listdir(self.path("data/raw/EMODB/wav")), ["03a01Fa.wav"])

    def test_killed_and_changed_meanwhile(self):
        other = archive(("wav/03a01Fa.wav", os.urandom(2_000_000)))
        self.server.routes[self.EMODB] = times(file(self.zip, stall=1_000_000), file(other))
        self.env["HF_HUB_DOWNLOAD_TIMEOUT"] = "30"
        part = self.path("data/raw/.ser-emodb.zip.incomplete")
        p = self.start("pull", "--endpoint", self.server.url, "emodb")
        self.wait_for(lambda: os.path.exists(part) and os.path.getsize(part) == 1_000_000)
        p.kill()
        p.communicate()
        os.makedirs(self.path("data/raw/.ser-emodb.unpacking/left"))
        self.pull("emodb")
        self.assertEqual(os.listdir(self.path("data/raw/EMODB/wav")), ["03a01Fa.wav"])
        self.assertEqual(self.listed(), ["EMODB"])

    def test_two_at_once(self):
        self.server.routes[self.EMODB] = file(self.zip, pace=1)
        both = [self.start("pull", "--endpoint", self.server.url, "emodb") for _ in range(2)]
        for p in both:
            _, err = p.communicate(timeout=30)
            self.assertEqual(p.returncode, 0, err)
        self.assertEqual(len(self.server.requests(self.EMODB)), 1)
        self.assertEqual(self.listed(), ["EMODB"])

    def test_first_of_two_is_interrupted(self):
        """It takes the folder away that it had made for nothing, under the one that waits."""
        self.server.routes[self.EMODB] = times(lambda h: h.server.ended.wait(60), file(self.zip))
        self.env["HF_HUB_DOWNLOAD_TIMEOUT"] = "30"
        first = self.start("pull", "--endpoint", self.server.url, "emodb")
        self.wait_for(lambda: self.server.requests(self.EMODB))
        self.env["SER_PROGRESS"] = "1"
        second, told = self.start("pull", "--endpoint", self.server.url, "emodb"), ""
        self.addCleanup(second.kill)
        while "waiting for another ser" not in told:
            told += second.stderr.read(1) or self.fail(told)
        first.send_signal(signal.SIGINT)
        self.assertIn("interrupted", first.communicate(timeout=20)[1])
        _, err = second.communicate(timeout=30)
        self.assertEqual(second.returncode, 0, err)
        self.assertEqual(self.listed(), ["EMODB"])

    def test_hostile_archives(self):
        link = stat.S_IFLNK | 0o777
        for data, words in ((b"not a zip", "no zip archive"), (self.zip[:-2000], "no zip archive"),
                            (archive(("a.wav", b"x"), ("../evil", b"x")), "would lie outside"),
                            (archive(("/tmp/evil", b"x")), "would lie outside"), (archive(("a/../../evil", b"x")), "would lie outside"),
                            (archive(("a\\..\\evil", b"x")), "would lie outside"), (archive(("a/" * 40 + "b", b"x")), "would lie outside"),
                            (archive(("wav", b"/tmp", link), ("wav/evil", b"x")), "is a link"),
                            (archive(("a", b"x", stat.S_IFCHR | 0o644)), "is a link or a device"),
                            (archive(("a", b"x"), ("a/b", b"x")), "'a/b' lies in a file"),
                            (archive(*(("%d" % i, b"") for i in range(20001))), "has 20001 entries"),
                            (self.zip.replace(self.zip[100_000:100_100], bytes(100)), "is damaged")):
            self.server.routes[self.EMODB] = file(data)
            self.refuse(words)
            self.assertEqual(self.listed(), [])
            self.assertEqual(os.listdir(self.dir), [])  # data/raw, made for it alone, is gone, too

    def test_full_disk_while_unpacking(self):
        self.server.routes[self.EMODB] = file(archive(("wav/a.wav", bytes(5_000_000))))
        self.refuse("free some space", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000)))
        self.pull("emodb")
        self.assertEqual(len(self.server.requests(self.EMODB)), 1)
        self.assertEqual(self.listed(), ["EMODB"])

    def test_without_encryption_only_where_told(self):
        _, err = self.ser("pull", "emodb", status=1)
        self.assertTrue(err.endswith("without encryption alone: if that is fine, fetch it with: ser pull --endpoint http://emodb.bilderbar.info EMODB\n"), err)
        self.assertEqual(os.listdir(self.dir), [])
        self.pull("emodb")
        self.assertEqual(self.listed(), ["EMODB"])

    def test_without_an_archive(self):
        for name, address in (("CREMAD", "https://github.com/CheyneyComputerScience/CREMA-D (with Git LFS)"), ("nemo", "https://github.com/amu-cai/nEMO")):
            self.refuse(f"clone {address} into data/raw/{name.upper()} (", name)
        self.assertEqual(self.listed(), [])

    def typed(self, err):
        """The command that a message ends with, read as a shell reads it."""
        words = shlex.split(err[err.rindex("fetch it with: ") + len("fetch it with: "):])
        self.assertEqual(words[:2], ["ser", "pull"], err)
        return words[1:]

    def test_messages_name_the_command(self):
        """One that pull takes: it fails no earlier than at the network, of which there is none behind this proxy."""
        self.env.update({v: self.nobody() for v in ("http_proxy", "https_proxy")})
        plain = ["--endpoint", "http://emodb.bilderbar.info"]
        for name, endpoint in (("EMODB", plain), ("RAVDESS", [])):
            for folder in ([], ["--data-dir", "corpora"], ["--data-dir", "it's my $HOME/data"]):
                _, err = self.ser("extract", "--data", name, "--feature-type", "LOGMEL", *folder, status=1)
                command = self.typed(err)
                self.assertEqual(command, ["pull", *endpoint, *folder, name])
                self.assertIn("cannot be reached", self.ser(*command, status=1)[1])
                if endpoint:
                    self.assertEqual(self.typed(self.ser("pull", *folder, name, status=1)[1]), command)

    def test_named_command_fetches_to_where_it_was_missing(self):
        """As it stands but for the publisher's server."""
        command = self.typed(self.ser("extract", "--data", "EMODB", "--feature-type", "LOGMEL", "--data-dir", "my corpora", status=1)[1])
        command[command.index("--endpoint") + 1] = self.server.url
        self.assertEqual(self.ser(*command)[0], "my corpora/EMODB\n")


def flatten(suite):
    return [suite] if isinstance(suite, unittest.TestCase) else [t for s in suite for t in flatten(s)]


def main():
    """Side by side, because most of the time goes into waiting."""
    wanted = sys.argv[1:]
    loader = unittest.TestLoader()
    tests = flatten(loader.loadTestsFromNames(wanted, sys.modules["__main__"]) if wanted else loader.loadTestsFromModule(sys.modules["__main__"]))
    results = [unittest.TestResult() for _ in tests]
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda pair: pair[0].run(pair[1]), zip(tests, results)))
    bad = [failure for r in results for failure in r.failures + r.errors]
    for test, text in bad:
        print("%s\n%s" % (test, text), file=sys.stderr)
    print("%d tests, %d failed, %d skipped" % (len(tests), len(bad), sum(len(r.skipped) for r in results)))
    sys.exit(bool(bad) or not tests)


if __name__ == "__main__":
    main()
