#!/usr/bin/env python3
"""On processors without AVX2, as QEMU has them: the package answers, more slowly. A program of this one's instructions would end there."""
import json, os, shutil, subprocess, sys, unittest

from common import PROGRAM, SPEECH, Case, predicted

QEMU = shutil.which("qemu-x86_64")


@unittest.skipUnless(QEMU and os.uname().machine == "x86_64", "needs qemu-user on x86-64")
class Old(Case):
    def on(self, cpu, *command):
        p = subprocess.run([QEMU, "-cpu", cpu, *command], capture_output=True, text=True, timeout=1500)
        self.assertEqual((p.returncode, p.stderr), (0, ""), cpu)
        return json.loads(p.stdout)

    def check(self, scores):
        before = os.environ.get("SER_MAX_ISA")
        os.environ["SER_MAX_ISA"] = "sse41"
        self.addCleanup(lambda: os.environ.pop("SER_MAX_ISA") if before is None else os.environ.update(SER_MAX_ISA=before))
        for label, want in predicted("-j", 1, SPEECH)[0]["scores"].items():
            self.assertAlmostEqual(scores[label], want, 4, label)

    def test_python(self):
        """NumPy's own wheels want x86-64-v2."""
        code = f"import json, ser; print(json.dumps(ser.predict({SPEECH!r}, jobs=1).scores))"
        self.check(self.on("Nehalem", sys.executable, "-c", code))

    def test_program(self):
        self.check(self.on("qemu64", PROGRAM, "predict", "-j", "1", "--format", "json", SPEECH)["scores"])


if __name__ == "__main__":
    unittest.main()
