#!/usr/bin/env python3
"""The page of names is what the docstrings say; the quick start runs; types are what they say, where mypy is."""
import os, subprocess, sys, unittest

from common import TOP, Case

try:
    import nbclient, nbformat, ipykernel, pandas, sklearn
except ImportError:
    nbclient = None
try:
    import mypy
except ImportError:
    mypy = None


class Docs(Case):
    def test_the_page_is_what_the_docstrings_say(self):
        subprocess.run([sys.executable, os.path.join(TOP, "tools/make_python_api.py"), "--check"], check=True)

    def test_completion_offers_what_is_public(self):
        import ser

        self.assertEqual([name for name in dir(ser) if not name.startswith("__")], sorted(ser.__all__))
        self.assertTrue(all(hasattr(ser, name) for name in dir(ser)))

    @unittest.skipUnless(nbclient, "needs nbclient, ipykernel, pandas and scikit-learn")
    def test_the_quick_start_runs(self):
        notebook = nbformat.read(os.path.join(TOP, "examples/quick_start.ipynb"), as_version=4)
        nbformat.validate(notebook)
        self.assertFalse([c for c in notebook.cells if c.cell_type == "code" and c.outputs], "the notebook is kept without outputs")
        for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
            os.environ[name] = os.path.join(self.dir, "jupyter")  # of this process, whose last test needs no other
        done = nbclient.NotebookClient(notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": self.dir}}).execute()
        shown = [o for c in done.cells if c.cell_type == "code" for o in c.outputs if o.get("data")]
        self.assertIn("text/html", shown[0].data)

    @unittest.skipUnless(mypy, "needs mypy")
    def test_types(self):
        subprocess.run([sys.executable, "-m", "mypy", "--cache-dir", os.path.join(self.dir, "mypy"), "--config-file", os.path.join(TOP, "pyproject.toml"),
                        os.path.join(TOP, "bindings/python/ser")], check=True)


if __name__ == "__main__":
    unittest.main()
