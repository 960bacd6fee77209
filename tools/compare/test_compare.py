"""Tests of what needs neither the peer nor a model. Run: python3 -m unittest discover tools/compare -p "test_*.py"."""

import contextlib
import io
import json
import os
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ET
from pathlib import Path
from unittest import mock

import build
import compare
import files
import kinds
import measure
import ours
import watch
from chart import chart
from kinds import KINDS, METRICS, Job, jobs, metric
from measure import Records, factors, missing, results
from ours import OURS, UNDRAFTED
from peer import PEERS
from table import table


class Counting:
    """A side that gives numbers without running anything."""

    def __init__(self, name, seconds):
        self.name, self.seconds, self.runs = name, seconds, []

    def inputs(self, _job, _files):
        return []

    def done(self, job):
        self.runs.append(job.name)
        return self.seconds

    def prefill(self, job, *_):
        return {job.name: 1 / self.done(job)}

    def answer(self, job, *_):
        return {"first token": self.done(job), "file-backed memory": 1 << 30}

    def restart(self, job, *_):
        return {"restart": self.done(job) / 10}

    def quantize(self, job, *_):
        return {"quantize": self.done(job)}


class MeasureTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.log = Path(folder.name) / "runs.jsonl"
        self.ours, self.theirs = Counting("pixtral", 2.0), Counting("theirs", 4.0)
        third = Counting("third", 8.0)
        sides = mock.patch.multiple(measure, OURS=self.ours, PEERS={"default": self.theirs, "third": third})
        sides.start()
        self.addCleanup(sides.stop)
        self.peers = ["default"]
        self.wanted = jobs(["prefill", "answer"], [], [512], "16x16", 32, [32])
        self.said, self.seconds = [], 0.0

    def clock(self):
        """Every look at it takes a second."""
        self.seconds += 1
        return self.seconds

    def measure(self, pairs=3, mark="a", budget=1e9):
        records = Records(self.log, dict.fromkeys(KINDS, mark))
        runs = missing(records, self.wanted, self.peers, pairs)
        left = measure.measure(None, None, None, runs, records, budget, self.said.append, self.clock)
        return results(records, self.wanted, self.peers, pairs), left

    def test_better_is_above_one_for_times_and_for_rates(self):
        self.assertEqual(factors("first token", [2.0, 2.0, 1.0], [4.0, 2.0, 5.0]), (2.0, 1.0, 5.0))
        self.assertEqual(factors("decode 64 after 32", [8.0], [4.0]), (2.0, 2.0, 2.0))

    def test_a_stopped_comparison_runs_only_what_is_missing(self):
        self.measure(pairs=2)
        self.assertEqual(len(self.ours.runs), 4)
        self.measure(pairs=3)
        self.assertEqual([len(side.runs) for side in (self.ours, self.theirs)], [6, 6])
        self.measure(mark="another program")
        self.assertEqual([len(side.runs) for side in (self.ours, self.theirs)], [12, 12])

    def test_no_run_begins_that_would_end_behind_the_budget(self):
        # A run takes one tick of the clock, and beginning it another.
        _, left = self.measure(pairs=1)
        self.assertEqual(left, 0)
        self.seconds = 0
        found, left = self.measure(pairs=3, budget=4.5)
        self.assertEqual(left, 6)
        self.assertEqual(len(found["prefill 512"]["pixtral"]), 2, "only whole pairs count")
        _, left = self.measure(pairs=3)
        self.assertEqual(left, 0)

    def test_sides_take_turns_in_coming_first(self):
        self.measure(pairs=2)
        turns = [line.split(", ")[1] for line in self.said[:4]]
        self.assertEqual(turns, ["pixtral", "theirs", "theirs", "pixtral"])

    def test_quantising_has_one_peer_whatever_flags_there_are(self):
        self.peers = ["default", "third"]
        self.wanted = jobs(["quantize", "answer"], [], [], "", 0, [])
        found, _ = self.measure(pairs=1)
        self.assertEqual(list(found["quantize"]), ["pixtral", "theirs"])
        self.assertEqual(list(found["first token"]), ["pixtral", "theirs", "third"])
        rows = [line for line in table(found, "").splitlines() if line.startswith("|")]
        self.assertEqual({row.count("|") for row in rows}, {7}, "one table with empty cells")

    def test_a_restart_is_also_compared_with_reading_all_again(self):
        self.wanted = jobs(["answer", "restart"], [], [], "", 0, [])
        found, _ = self.measure()
        self.assertEqual(factors("restart", *found["restart"].values())[0], 2.0)
        self.assertEqual(factors("restart", *found["restart, all read again"].values())[0], 20.0)

    def test_table_and_chart_show_every_metric(self):
        found, _ = self.measure()
        text = table(found, "A machine.")
        self.assertIn("| prefill of 512 tokens | 0.500 tokens/s (0.500 … 0.500) |", text)
        self.assertIn("| 2.00× (2.00 … 2.00) |", text)
        drawing = ET.fromstring(chart(found))
        labels = [e.text for e in drawing.iter("{http://www.w3.org/2000/svg}text")]
        self.assertIn("time to first token, warm", labels)
        self.assertIn("than theirs", labels)
        self.assertEqual(labels.count("2.00×"), 2)

    def test_sides_of_different_kinds_get_tables_of_their_own(self):
        drafts = {"pixtral": [3.0], "pixtral --no-draft": [2.0]}
        found = {"load": {"pixtral": [1.0], "llama.cpp": [2.0]}, "new": drafts}
        text = table(found, "A machine.")
        self.assertEqual(text.count("| what | pixtral |"), 2)
        self.assertIn("| decode of new text | 3.00 tokens/s (3.00 … 3.00) | 2.00 tokens/s (2.00 … 2.00) | 1.50×", text)
        ET.fromstring(chart(found))
        ET.fromstring(chart({}))


class KindsTest(unittest.TestCase):
    def test_every_side_can_do_every_kind(self):
        for kind, job in jobs(list(KINDS), ["16x16"], [8], "16x16", 4, [32, 64]):
            for side in measure.sides_of(kind, list(PEERS)):
                self.assertTrue(callable(getattr(side, job.kind)), (side.name, job))
        self.assertEqual(measure.sides_of("drafts", list(PEERS)), [OURS, UNDRAFTED])

    def test_jobs_and_metrics_have_names_of_their_own(self):
        every = jobs(list(KINDS), compare.SIZES, [512, 2048], "512x512", 64, [32, 4096])
        names = [job.name for _, job in every]
        self.assertEqual(len(set(names)), len(names))
        titles = [metric(name).title for name in [*METRICS, *(n for n in names if n not in METRICS)]]
        self.assertEqual(len(set(titles)), len(titles))
        self.assertEqual(metric("decode 64 after 4096").title, "decode of 64 tokens after 4096")
        self.assertEqual(metric("encode 1024x704").title, "vision encode 1024×704")
        self.assertFalse(metric("encode 1024x704").rate)
        self.assertTrue(metric("picture 512x512").rate)

    def test_a_long_context_is_made_and_not_read(self):
        commands = []

        def run(command):
            commands.append([str(word) for word in command])
            report = {"decode": {"tokens_per_s": 5.0}}
            return watch.Outcome(json.dumps(report), 0, 0, 0, 0, 0)

        programs, some = mock.Mock(), files.Files(Path("."), Path("m"), Path("t"), Path("v"))
        settings = kinds.Settings(2, 8192, 1)
        job = Job("decode", "64 after 4096", prompt=4096, generate=64)
        with mock.patch.object(watch, "run", run):
            self.assertEqual(OURS.decode(job, programs, some, settings), {job.name: 5.0})
            self.assertEqual(PEERS["default"].decode(job, programs, some, settings), {job.name: 5.0})
        for command, option in zip(commands, ("--after", "--before")):
            self.assertEqual(command[command.index(option) + 1], "4096")
            self.assertLess(int(command[command.index("--prompt") + 1]), 4096)

    def test_a_turn_that_read_everything_again_is_no_measurement(self):
        def turn(reused):
            answer = {"tokens": {"prompt": 100, "reused": reused}, "seconds": {"decode": 0.5}}
            return watch.Answer(json.dumps(answer), 2.0)

        self.assertEqual(ours.first_token(turn(90)), 1.5)
        with self.assertRaises(SystemExit):
            ours.first_token(turn(10))

    def test_drafts_tell_what_is_new_from_what_repeats(self):
        def converse(_command, pieces):
            turn = {"tokens": {"generated": 10}}
            seconds = lambda i: {"decode": 2.0 if i % 4 == 0 else 1.0}
            return [watch.Answer(json.dumps(dict(turn, seconds=seconds(i))), 0) for i in range(len(pieces))]

        with mock.patch.object(watch, "converse", converse):
            found = OURS.drafts(Job("drafts"), mock.Mock(), None, kinds.Settings(2, 8192, 1))
        self.assertEqual(found, {"new": 5.0, "repeating": 10.0})


class ArgumentsTest(unittest.TestCase):
    def test_short_gives_way_to_what_is_said(self):
        args = compare.arguments(["c", "--short", "--pairs", "3"])
        self.assertEqual((args.pairs, args.sizes, args.context), (3, ["256x256"], 2048))
        self.assertEqual(compare.arguments(["c"]).pairs, 5)

    def test_unknown_kinds_and_sizes_are_refused(self):
        for words in (["--only", "load,speed"], ["--peers", "fast"], ["--sizes", "9"], ["--pairs", "0"]):
            with contextlib.redirect_stderr(io.StringIO()), self.assertRaises(SystemExit):
                compare.arguments(["c", *words])

    def test_values_count_for_the_files_that_they_are_of(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            for name in ("program", "model", "bf16", "weights"):
                (folder / name).touch()
            programs = build.Programs(*[folder / "program"] * len(build.Programs.__dataclass_fields__))
            some = files.Files(folder, model=folder / "model", checkpoint=folder / "weights", bf16=folder / "bf16")
            settings = kinds.Settings(2, 8192, 1)
            before = compare.marks(programs, some, settings)
            (folder / "model").write_text("changed")
            after = compare.marks(programs, some, settings)
            self.assertNotEqual(before["decode"], after["decode"])
            self.assertEqual(before["quantize"], after["quantize"])
            self.assertEqual(before["drafts"], after["drafts"])
            (folder / "program").write_text("changed")
            self.assertNotEqual(after["drafts"], compare.marks(programs, some, settings)["drafts"])


class ProcessesTest(unittest.TestCase):
    def test_a_process_is_watched(self):
        code = "import time; time.sleep(.2); x = bytearray(64 << 20); print('a', flush=True); time.sleep(.3)"
        outcome = watch.run([sys.executable, "-c", code])
        self.assertEqual(outcome.stdout, "a\n")
        self.assertLess(0.2, outcome.first_output)
        self.assertLess(outcome.first_output + 0.2, outcome.seconds)
        self.assertGreater(outcome.anonymous, 64 << 20)
        self.assertGreaterEqual(outcome.peak, outcome.anonymous)

    def test_each_answer_is_timed(self):
        code = """if True:
            import sys, time
            for line in sys.stdin:
                if line > "b":
                    time.sleep(.2)
                    print(line, end="", flush=True)
        """
        first, second = watch.converse([sys.executable, "-c", code], ["a\nc", "d"])
        self.assertEqual((first.line, second.line), ("c\n", "d\n"))
        self.assertLess(0.2, second.seconds)

    def test_a_process_that_fails_says_why(self):
        command = [sys.executable, "-c", "raise ValueError('why')"]
        for failing in (lambda: watch.run(command), lambda: watch.converse(command, ["a", "b"])):
            with self.assertRaises(SystemExit) as failed:
                failing()
            self.assertIn("ValueError: why", str(failed.exception))


class FilesTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def test_a_picture_has_its_size(self):
        path = self.folder / "p.png"
        files.picture(path, 48, 32)
        self.assertEqual(path.read_bytes()[16:24], b"\0\0\0\x30\0\0\0\x20")

    def test_a_kept_file_is_made_again_when_its_inputs_change(self):
        source, made = self.folder / "in", []
        source.touch()

        def make(path):
            made.append(path)
            path.touch()

        def keep(settings):
            return files.kept(files.Files(self.folder), "state", settings, [source], make)

        first = keep("a")
        self.assertEqual(keep("a"), first)
        self.assertEqual(len(made), 1)
        keep("b")
        os.utime(source, (1, 1))
        keep("b")
        self.assertEqual(len(made), 3)
        self.assertEqual(len(list(self.folder.glob("*-state"))), 1, "old ones are gone")

    def test_a_build_folder_of_another_checkout_is_configured_again(self):
        settings = self.folder / "CMakeCache.txt"
        settings.write_text("CMAKE_HOME_DIRECTORY:INTERNAL=/here\n")
        build.forget_other_source(self.folder, Path("/here"))
        self.assertTrue(settings.exists())
        build.forget_other_source(self.folder, Path("/there"))
        self.assertFalse(settings.exists())

    def test_files_are_named_by_what_they_are(self):
        source = files.Source(None, "q4_k", compare.shape("pixtral-12b", 2))
        self.assertEqual(source.name(), "synthetic-pixtral-12b-2-2")
        self.assertEqual(files.Source(None, "q4_k", compare.shape("tiny", None)).name(), "synthetic-tiny")


if __name__ == "__main__":
    unittest.main()
