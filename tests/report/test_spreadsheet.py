"""Reads metrics.xlsx as a spreadsheet program would: test_spreadsheet.py MAKE_RUN_EXAMPLE

Only what comes with Python: a workbook is a zip of XML files.
"""
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
CHART = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"


class Workbook:
    def __init__(self, path):
        self.zip = zipfile.ZipFile(path)
        assert self.zip.testzip() is None
        self.xml = {n: ET.fromstring(self.zip.read(n)) for n in self.zip.namelist() if n.endswith((".xml", ".rels"))}
        self.strings = ["".join(t.text or "" for t in si.iter(MAIN + "t")) for si in self.xml["xl/sharedStrings.xml"]]
        targets = {r.get("Id"): r.get("Target") for r in self.xml["xl/_rels/workbook.xml.rels"]}
        self.sheets = {s.get("name"): self.xml["xl/" + targets[s.get(RELATION)]]
                       for s in self.xml["xl/workbook.xml"].iter(MAIN + "sheet")}

    def cells(self, sheet):
        """{"A1": value}: texts, numbers; formulas as their results."""
        out = {}
        for c in self.sheets[sheet].iter(MAIN + "c"):
            v = c.find(MAIN + "v")
            if v is not None:
                out[c.get("r")] = self.strings[int(v.text)] if c.get("t") == "s" else float(v.text)
        return out

    def column(self, sheet, letter):
        cells = self.cells(sheet)
        return {int(k[len(letter):]): v for k, v in cells.items() if re.fullmatch(letter + r"\d+", k)}

    def number_format(self, sheet, cell):
        style = next(c.get("s") for c in self.sheets[sheet].iter(MAIN + "c") if c.get("r") == cell)
        styles = self.xml["xl/styles.xml"]
        codes = {f.get("numFmtId"): f.get("formatCode") for f in styles.iter(MAIN + "numFmt")}
        return codes.get(styles.find(MAIN + "cellXfs")[int(style)].get("numFmtId"))


def make(*options):
    folder = tempfile.TemporaryDirectory()
    subprocess.run([MAKE, folder.name, *options], check=True, stdout=subprocess.DEVNULL)
    book = Workbook(Path(folder.name) / "metrics.xlsx")
    folder.cleanup()
    return book


class Spreadsheet(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.book = make("10")

    def test_sheets(self):
        self.assertEqual(list(self.book.sheets), ["Summary", "Folds", "Classes", "Confusion", "History", "Recordings"])

    def test_summary(self):
        cells = self.book.cells("Summary")
        self.assertEqual(cells["A1"], "EMODB")
        self.assertIn("group-kfold=10 · WHISPER · timnet · 535 recordings · ser 0.1.0 · ", cells["A2"])
        self.assertEqual([cells[f"A{i}"] for i in range(5, 11)], ["UA", "WA", "F1", "ECE", "Loss", "UA over all seeds"])
        self.assertTrue(0.8 < cells["C5"] < cells["B5"] < cells["D5"] < 1)  # a share, inside its interval
        self.assertEqual(self.book.number_format("Summary", "B5"), "0.0%")
        self.assertNotIn("C7", cells)  # F1 has no interval
        options = dict(zip(self.book.column("Summary", "A").values(), self.book.column("Summary", "B").values()))
        self.assertIn("Configuration", self.book.column("Summary", "A").values())
        self.assertIn("0.0003", self.book.column("Summary", "B").values(), options)

    def test_classes(self):
        cells = self.book.cells("Classes")
        self.assertEqual([cells[f"A{i}"] for i in (2, 8, 9, 10, 11)],
                         ["angry", "sad", "accuracy", "macro average", "weighted average"])
        self.assertEqual(sum(cells[f"E{i}"] for i in range(2, 9)), cells["E9"])
        self.assertAlmostEqual(sum(cells[f"C{i}"] for i in range(2, 9)) / 7, cells["C10"])
        self.assertAlmostEqual(self.book.cells("Summary")["B5"], cells["C10"])  # UA

    def test_confusion(self):
        sheet, cells = self.book.sheets["Confusion"], self.book.cells("Confusion")
        self.assertIsNotNone(sheet.find(f".//{MAIN}colorScale"))
        for row in range(3, 10):
            counts = [cells[f"{c}{row + 10}"] for c in "BCDEFGH"]
            shares = [cells[f"{c}{row}"] for c in "BCDEFGH"]
            self.assertEqual(sum(counts), cells[f"I{row}"])
            self.assertAlmostEqual(sum(shares), 1)
            self.assertAlmostEqual(shares[0], counts[0] / sum(counts))

    def test_folds(self):
        cells = self.book.cells("Folds")
        names = [cells[f"A{i}"] for i in range(2, 15)]
        self.assertEqual(names, [str(i) for i in range(1, 11)] + ["mean", "standard deviation", "average of all"])
        ua = [cells[f"E{i}"] for i in range(2, 12)]
        mean = sum(ua) / 10
        self.assertAlmostEqual(cells["E12"], mean)
        self.assertAlmostEqual(cells["E13"], (sum((x - mean) ** 2 for x in ua) / 9) ** 0.5)
        formulas = {c.get("r"): c.find(MAIN + "f").text for c in self.book.sheets["Folds"].iter(MAIN + "c")
                    if c.find(MAIN + "f") is not None}
        self.assertEqual(formulas["E12"], "AVERAGE(E2:E11)")

    def test_history(self):
        epochs = self.book.column("History", "B")
        kept = [k for k, v in self.book.column("History", "I").items() if v == "kept"]
        self.assertEqual(len(kept), 10)
        losses = self.book.column("History", "D")
        folds = self.book.column("History", "A")
        for row in kept:
            self.assertEqual(losses[row], min(losses[r] for r in folds if r > 1 and folds[r] == folds[row]))
        charts = [x for n, x in self.book.xml.items() if re.fullmatch(r"xl/charts/chart\d+\.xml", n)]
        self.assertEqual(len(charts), 2)
        for chart in charts:
            series = list(chart.iter(CHART + "ser"))
            self.assertEqual(len(series), 20)
            ranges = [f.text for f in series[-1].iter(CHART + "f")]
            self.assertTrue(ranges[-1].endswith(f"${max(epochs)}"), ranges)
            formats = {numbers.get("formatCode") for numbers in chart.iter(CHART + "numFmt")}
            self.assertLessEqual(formats, {"General", "0%"})  # with fixed digits losses that are close would be 1.9, 1.9, 1.9

    def test_frozen(self):
        for name in ("Folds", "Classes", "Confusion", "History", "Recordings"):
            pane = self.book.sheets[name].find(f".//{MAIN}pane")
            self.assertEqual(pane.get("state"), "frozen", name)

    def test_recordings(self):
        column = self.book.column("Recordings", "A")
        self.assertEqual(len(column), 536)
        self.assertIsNotNone(self.book.sheets["Recordings"].find(MAIN + "autoFilter"))

    def test_hostile(self):
        """Labels, names and options from anywhere stay text; numbers that are none leave cells empty."""
        book = make("2", "hostile")
        for name, sheet in book.sheets.items():
            for c in sheet.iter(MAIN + "c"):
                f = c.find(MAIN + "f")
                self.assertTrue(f is None or re.fullmatch(r"(AVERAGE|STDEV)\([A-Z]\d+:[A-Z]\d+\)", f.text), name)
                v = c.find(MAIN + "v")
                if c.get("t") != "s" and v is not None:
                    float(v.text)
                    self.assertNotIn("n", v.text.lower())
        self.assertFalse([n for n in book.zip.namelist() if "external" in n.lower()])
        self.assertIn("=cmd|' /C calc'!A0", book.column("Classes", "A").values())
        self.assertIn("@SUM(A1)", book.column("Classes", "A").values())
        self.assertIn("<b>&amp;", book.column("Classes", "A").values())
        self.assertTrue(all(ord(ch) >= 32 for s in book.strings for ch in s))
        series = [x for n, x in book.xml.items() if re.fullmatch(r"xl/charts/chart\d+\.xml", n)][0]
        names = [t.text for s in series.iter(CHART + "ser") for t in s.find(CHART + "tx").iter(CHART + "v")]
        self.assertTrue(all(n.startswith("Fold ") for n in names), names)

    def test_least(self):
        self.assertEqual(list(make("1", "bare").sheets), ["Summary", "Classes", "Confusion"])


if __name__ == "__main__":
    MAKE = sys.argv.pop(1)
    unittest.main()
