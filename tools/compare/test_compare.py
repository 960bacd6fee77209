"""Tests of what needs neither the peer nor a model. Run: python3 -m unittest discover tools/compare -p "test_*.py"."""

import sys
import tempfile
import unittest
import xml.etree.ElementTree as ET
from pathlib import Path

import files
import watch
from chart import chart
from measure import Records, factors, jobs, measure, results
from table import table


class Counting:
    """A side that gives numbers without running anything."""

    def __init__(self, name, seconds):
        self.name, self.seconds, self.runs = name, seconds, 0

    def inputs(self, _files):
        return []

    def bench(self, _programs, _files, _settings, work):
        self.runs += 1
        return {f"{work.measured} {work.prompt}": 1 / self.seconds}

    def answer(self, _programs, _files, _settings):
        self.runs += 1
        return {"first token": self.seconds, "file-backed memory": 1 << 30}


class CompareTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.log = Path(self.folder.name) / "runs.jsonl"
        self.sides = [Counting("ours", 2.0), Counting("theirs", 4.0)]
        self.wanted = jobs(["prefill", "answer"], [], 512, 32)
        self.said = []

    def run_all(self, fingerprint="a", pairs=3):
        records = Records(self.log, fingerprint)
        measure(self.sides, None, None, None, self.wanted, pairs, records, self.said.append)
        return results(records, self.wanted, self.sides, pairs)

    def test_better_is_above_one_for_times_and_for_rates(self):
        self.assertEqual(factors("first token", [2.0, 2.0, 1.0], [4.0, 2.0, 5.0]), (2.0, 1.0, 5.0))
        self.assertEqual(factors("decode 32", [8.0], [4.0]), (2.0, 2.0, 2.0))

    def test_a_stopped_comparison_runs_only_what_is_missing(self):
        self.run_all(pairs=2)
        self.assertEqual([side.runs for side in self.sides], [4, 4])
        self.run_all(pairs=3)
        self.assertEqual([side.runs for side in self.sides], [6, 6])
        self.run_all(fingerprint="another program")
        self.assertEqual([side.runs for side in self.sides], [12, 12])

    def test_sides_take_turns_in_coming_first(self):
        self.run_all(pairs=2)
        self.assertEqual([line.split(", ")[1] for line in self.said[:4]], ["ours", "theirs", "theirs", "ours"])

    def test_table_and_chart_show_every_metric(self):
        found = self.run_all()
        text = table(found, self.sides, "A machine.")
        self.assertIn("| prefill of 512 tokens | 0.500 tokens/s (0.500 … 0.500) |", text)
        self.assertIn("| 2.00× (2.00 … 2.00) |", text)
        widths = {line.count("|") for line in text.splitlines() if line.startswith("|")}
        self.assertEqual(len(widths), 1)
        drawing = ET.fromstring(chart(found, self.sides))
        labels = [e.text for e in drawing.iter("{http://www.w3.org/2000/svg}text")]
        self.assertIn("time to first token, warm", labels)
        self.assertEqual(labels.count("2.00×"), 2)

    def test_a_process_is_watched(self):
        code = "import time; time.sleep(.2); x = bytearray(64 << 20); print('a', flush=True); time.sleep(.3)"
        outcome = watch.run([sys.executable, "-c", code])
        self.assertEqual(outcome.stdout, "a\n")
        self.assertLess(0.2, outcome.first_output)
        self.assertLess(outcome.first_output + 0.2, outcome.seconds)
        self.assertGreater(outcome.anonymous, 64 << 20)
        self.assertGreaterEqual(outcome.peak, outcome.anonymous)
        with self.assertRaises(SystemExit) as failed:
            watch.run([sys.executable, "-c", "raise ValueError('why')"])
        self.assertIn("ValueError: why", str(failed.exception))

    def test_a_picture_has_its_size(self):
        path = Path(self.folder.name) / "p.png"
        files.picture(path, 48, 32)
        self.assertEqual(path.read_bytes()[16:24], b"\0\0\0\x30\0\0\0\x20")


if __name__ == "__main__":
    unittest.main()
