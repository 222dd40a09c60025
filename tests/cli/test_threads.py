#!/usr/bin/env python3
"""Every command that works in threads, in several of them and in one: the same bits. Short, so that it can run under
ThreadSanitizer too, where it says which data two threads touched at once.

Usage: test_threads.py PATH_OF_SER
"""
import json, os, unittest

from test_program import HAS_MODEL, Case, tone, write_wav

SMALL = ("--feature-type", "LOGMEL", "--augment", "1", "--model-type", "linear+timnet", "--networks", "1", "--epoch", "2", "--filter-size", "4",
         "--dilation-size", "2", "--stack-size", "1")


class Threads(Case):
    def setUp(self):
        super().setUp()
        self.corpus = self.make_corpus(per_class=4)

    def both(self, *args):
        """What several threads say, checked against what one says; what was computed is not kept in between."""
        said = []
        for jobs in ("4", "1"):
            self.env["XDG_CACHE_HOME"] = self.path("cache" + jobs)
            said.append(self.ser(*[a.replace("JOBS", jobs) for a in args], "--jobs", jobs))
            self.assertNotIn("ThreadSanitizer", said[-1][1])
        return said

    def test_evaluate(self):
        self.both("evaluate", "--data", self.corpus, "--protocol", "kfold=2", "--inner-folds", "2", *SMALL, "--json", self.path("JOBS.json"))
        reports = []
        for jobs in "41":
            with open(self.path(jobs + ".json")) as f:
                reports.append(json.load(f))
        self.assertEqual(reports[0]["predictions"], reports[1]["predictions"])

    def test_extract(self):
        self.both("extract", "--data", self.corpus, "--feature-type", "LOGMEL+MFCC", "--features-dir", self.path("JOBS"))
        trees = []
        for jobs in "41":
            trees.append({})
            for where, _, names in os.walk(self.path(jobs)):
                for name in names:
                    with open(os.path.join(where, name), "rb") as f:
                        trees[-1][name] = f.read()
        self.assertEqual(len(trees[0]), 12 * 2 + 1)
        self.assertEqual(trees[0], trees[1])

    @unittest.skipUnless(HAS_MODEL, "the program has no model built in")
    def test_predict(self):
        write_wav(self.path("corpus/long.wav"), tone(300, 40))
        said = self.both("predict", "--format", "json", self.corpus)
        self.assertEqual(said[0], said[1])


if __name__ == "__main__":
    unittest.main()
