# SPDX-License-Identifier: BSD-3-Clause
"""The judgement of tests/instructions/run, without valgrind."""
import importlib.machinery
import importlib.util
import os
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
loader = importlib.machinery.SourceFileLoader("instructions_run", os.path.join(HERE, "run"))
spec = importlib.util.spec_from_loader(loader.name, loader)
gate = importlib.util.module_from_spec(spec)
loader.exec_module(gate)

SPSC = gate.Path("spsc", "pointer", ["count_paths", "spsc"], ["measured_spsc"], None)
NVME = gate.Path("nvme", "read", ["count_io"], ["quoll_nvme_poll"], 150)


class Judgement(unittest.TestCase):
    def test_a_rise_above_3_percent_fails_and_names_path_recorded_and_measured(self):
        result, text = gate.judge(SPSC, 10.31, 10.0, "gcc-12")
        self.assertEqual(result, 1)
        for word in ("spsc", "10.31", "10.00", "+3.1%"):
            self.assertIn(word, text)

    def test_a_rise_of_3_percent_or_less_passes(self):
        self.assertEqual(gate.judge(SPSC, 10.29, 10.0, "gcc-12")[0], 0)

    def test_a_fall_above_3_percent_passes_and_asks_to_be_recorded(self):
        result, text = gate.judge(SPSC, 9.6, 10.0, "gcc-12")
        self.assertEqual(result, 0)
        self.assertIn("record it", text)
        self.assertNotIn("record it", gate.judge(SPSC, 9.8, 10.0, "gcc-12")[1])

    def test_a_toolchain_that_nothing_was_recorded_with_is_skipped(self):
        result, text = gate.judge(SPSC, 10.0, None, "gcc-14/glibc-2.41")
        self.assertEqual(result, gate.SKIPPED)
        self.assertIn("gcc-14/glibc-2.41", text)

    def test_the_budget_holds_whatever_is_recorded(self):
        self.assertEqual(gate.judge(NVME, 150.2, 150.0, "gcc-12")[0], 1)
        self.assertEqual(gate.judge(NVME, 150.2, None, "gcc-14")[0], 1)
        self.assertEqual(gate.judge(NVME, 150.0, 149.0, "gcc-12")[0], 0)


class Table(unittest.TestCase):
    def test_what_was_written_is_read_back_and_other_toolchains_stay(self):
        rows = {("spsc", "gcc-12"): 6.84, ("nvme", "gcc-14"): 144.2, ("nvme", "gcc-12"): 145.76}
        with tempfile.NamedTemporaryFile() as f:
            gate.write_recorded(f.name, rows)
            self.assertEqual(gate.read_recorded(f.name), rows)

    def test_a_row_that_makes_no_sense_is_refused_with_its_line(self):
        with tempfile.NamedTemporaryFile("w", suffix="recorded") as f:
            f.write("# a comment\nspsc gcc-12 about six\n")
            f.flush()
            with self.assertRaisesRegex(SystemExit, ":2: "):
                gate.read_recorded(f.name)

    def test_the_table_has_a_row_for_every_path(self):
        chains = {chain for _, chain in gate.read_recorded(gate.RECORDED)}
        self.assertTrue(chains)
        for chain in chains:
            rows = {name for name, its in gate.read_recorded(gate.RECORDED) if its == chain}
            self.assertEqual(rows, {path.name for path in gate.PATHS})


if __name__ == "__main__":
    unittest.main()
