#!/usr/bin/env python3
"""ser beside PyTorch and NumPy in one process, imported in either order: each has an OpenMP, and products, of its own. Forked workers."""
import importlib.util, itertools, json, subprocess, sys, unittest

import numpy as np

from common import SPEECH, Case, predicted

# What each of the three gives alone is what it has to give beside the others, before and after they have worked, and side by side.
TOGETHER = """
import json, threading
def by_torch():
    a = torch.arange(90000, dtype=torch.float32).reshape(300, 300) / 90000
    return float((torch.nn.functional.gelu(a) @ a).sum()), torch.get_num_threads()
def by_numpy():
    return float((numpy.ones((300, 300)) @ numpy.arange(90000.0).reshape(300, 300)).sum())
def by_ser():
    return ser.predict(f, jobs=2).scores
calls = by_torch, by_numpy, by_ser
first = [call() for call in calls]
assert [call() for call in reversed(calls)] == first[::-1]
beside, threads = {}, [threading.Thread(target=lambda c=c: beside.update({c: [c() for _ in range(3)]})) for c in calls]
for t in threads: t.start()
for t in threads: t.join()
assert [beside[c] for c in calls] == [[x] * 3 for x in first], (beside, first)
print(json.dumps(first[2]))
"""
# The parent's libraries have threads by then, which its workers do not have.
WORKERS = """
import numpy, ser, torch
from torch.utils.data import DataLoader, Dataset
model = ser.Model()
want = [float(x) for x in model.predict(f, jobs=2).scores.values()]
torch.ones(300, 300) @ torch.ones(300, 300)
class Recordings(Dataset):
    def __len__(self): return 4
    def __getitem__(self, i):
        scores = model.predict(f, jobs=1 + i % 2).scores.values()
        return torch.tensor([*scores], dtype=torch.float64), torch.ones(300, 300) @ torch.ones(300, 300)
for how in ("fork", "spawn") if __name__ == "__main__" else ():
    rows = [row.tolist() for batch, _ in DataLoader(Recordings(), 2, num_workers=2, multiprocessing_context=how) for row in batch]
    assert rows == [want] * 4, (how, rows, want)
assert [*model.predict(f, jobs=2).scores.values()] == want
"""


@unittest.skipUnless(importlib.util.find_spec("torch"), "needs PyTorch")
class Beside(Case):
    def run_code(self, code):
        with open("program.py", "w") as f:  # which spawned workers read again
            f.write(f"f = {SPEECH!r}\n{code}")
        p = subprocess.run([sys.executable, "program.py"], capture_output=True, text=True, timeout=900)
        self.assertEqual((p.returncode, p.stderr), (0, ""), code)
        return p.stdout

    def test_imported_in_any_order(self):
        want = predicted("-j", 2, SPEECH)[0]["scores"]
        for order in itertools.permutations(("numpy", "ser", "torch")):
            # An import of ser alone loads no library.
            said = self.run_code("".join(f"import {name}\n{'ser.Model()' if name == 'ser' else ''}\n" for name in order) + TOGETHER)
            self.assertEqual({k: np.float32(v) for k, v in json.loads(said).items()}, {k: np.float32(v) for k, v in want.items()}, order)

    def test_workers_of_a_data_loader(self):
        self.run_code(WORKERS)


if __name__ == "__main__":
    unittest.main()
