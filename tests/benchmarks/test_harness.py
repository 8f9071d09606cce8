# SPDX-License-Identifier: BSD-3-Clause
"""benchmarks/harness: reading what programs print (outputs/ holds recorded ones), statistics, report."""
import json
import os
import socket
import sys
import tempfile
import unittest
from unittest import mock

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../benchmarks"))

from harness import lab, link, machine, measure, page, pair, parse, programs, report, rows, stats # noqa: E402

HZ = 2445402885


def recorded(name):
    with open(os.path.join(HERE, "outputs", name), encoding="utf-8") as f:
        return f.read()


def side(program, values, unit="ms"):
    return {"program": program, "command": program, unit: {**stats.summarize(values), "all": values}}


class Statistics(unittest.TestCase):
    def test_the_median_of_an_odd_number_is_the_middle_one(self):
        self.assertEqual(stats.summarize([5, 1, 9]), {"median": 5, "min": 1, "max": 9, "n": 3})

    def test_the_median_of_an_even_number_is_between_the_middle_two(self):
        self.assertEqual(stats.summarize([4, 1, 9, 2])["median"], 3)

    def test_no_values_have_no_median(self):
        with self.assertRaises(ValueError):
            stats.summarize([])


class Ratios(unittest.TestCase):
    def test_a_ratio_is_of_one_round_so_that_a_machine_of_two_speeds_does_not_spoil_it(self):
        slow_and_fast = side("a", [90, 25, 90, 25, 90]), side("b", [180, 50, 180, 50, 50])
        self.assertEqual(measure.ratio(*slow_and_fast, "ms"), 0.5)

    def test_rounds_that_are_no_pairs_give_the_ratio_of_medians(self):
        self.assertEqual(measure.ratio(side("a", [1, 2, 3]), side("b", [8]), "ms"), 0.25)

    def test_without_a_side_there_is_none(self):
        self.assertIsNone(measure.ratio(side("a", [1]), {"program": "b", "missing": "not installed"}, "ms"))


class Table(unittest.TestCase):
    def test_each_line_gives_a_median_for_each_batch(self):
        context = {}
        values = parse.table(recorded("bench_rings.txt"), context)
        line = next(line for line in recorded("bench_rings.txt").splitlines() if line.startswith("SPSC"))
        medians = [word for word in line.split()[4:] if "(" not in word]
        self.assertEqual(len(medians), 5)
        self.assertEqual(values["SPSC enqueue + dequeue/32"], float(medians[2]))
        self.assertEqual(values["SPSC enqueue + dequeue/256"], float(medians[4]))
        self.assertEqual(context["tsc_hz"], 2445404000)

    def test_every_figure_that_a_row_asks_for_is_there(self):
        values = parse.table(recorded("bench_rings.txt"), {})
        for row in rows.ROWS:
            if row.quoll[0] == "bench_rings":
                self.assertIn(row.quoll[1], values)

    def test_a_line_with_a_figure_too_few_does_not_fit(self):
        text = recorded("bench_rings.txt").replace("\nMPMC", "\nMPMC enqueue + dequeue    1.00 (0.90-1.10)\nMPMC")
        with self.assertRaisesRegex(parse.Misfit, "1 figures for 5 batches"):
            parse.table(text, {})

    def test_a_program_that_printed_something_else_does_not_fit_and_is_quoted(self):
        with self.assertRaisesRegex(parse.Misfit, "out of memory"):
            parse.table("rings: heap: out of memory\n", {})


class Rings(unittest.TestCase):
    def test_dpdk_22_11_gives_ticks_a_bulk_on_one_core_and_an_element_on_two(self):
        values = parse.ring_perf(recorded("dpdk-test-ring-22.11.txt"), {})
        self.assertAlmostEqual(values["one SP/SC single 1"], 31.33)
        self.assertAlmostEqual(values["one SP/SC bulk 32"], 127.20 / 32)
        self.assertAlmostEqual(values["one MP/MC bulk 8"], 79.39 / 8)
        self.assertAlmostEqual(values["two SP/SC bulk 32"], 48.92)
        self.assertAlmostEqual(values["two SP/SC bulk 8"], 161.46)

    def test_the_newer_form_gives_ticks_an_element_throughout(self):
        # Written after DPDK's source, not recorded.
        text = ("### Testing single element enq/deq ###\nlegacy APIs - SP/SC - single - cycles per elem: 9.750\n"
                "### Testing bulk enq/deq ###\nlegacy APIs - SP/SC - bulk (n:32 ) - cycles per elem: 3.812\n"
                "### Testing using two physical cores ###\nlegacy APIs - SP/SC - bulk (n:32 ) - cycles per elem: 8.604\n"
                "Test OK\n")
        values = parse.ring_perf(text, {})
        self.assertEqual(values["one SP/SC single 1"], 9.75)
        self.assertEqual(values["one SP/SC bulk 32"], 3.812)
        self.assertEqual(values["two SP/SC bulk 32"], 8.604)

    def test_a_test_that_failed_does_not_fit(self):
        with self.assertRaises(parse.Misfit):
            parse.ring_perf(recorded("dpdk-test-ring-22.11.txt").replace("Test OK", "Test Failed"), {})

    def test_both_sides_of_our_ring_are_read_by_bulk(self):
        context = {}
        values = programs.BY_NAME["bench_spsc"].parse(recorded("bench_spsc.json"), context)
        cases = {case["bulk"]: case for case in json.loads(recorded("bench_spsc.json"))["cases"]}
        self.assertEqual(values, {f"bulk {n}": cases[n]["median_ticks_per_element"] for n in (8, 32)})
        self.assertEqual(context["tsc_hz"], json.loads(recorded("bench_spsc.json"))["tick_hz"])


class Forwarding(unittest.TestCase):
    def test_testpmd_gives_ticks_a_packet_of_both_ports_since_the_first_look(self):
        values = parse.testpmd(recorded("testpmd-null-22.11.txt"), {"tsc_hz": HZ})
        self.assertAlmostEqual(values["ticks"], HZ / (18026311 + 18026323))

    def test_testpmd_that_sent_nothing_does_not_fit(self):
        text = recorded("testpmd-null-22.11.txt").replace("Tx-pps:     18026311", "Tx-pps:            0")
        with self.assertRaises(parse.Misfit):
            parse.testpmd(text, {"tsc_hz": HZ})

    def test_without_the_clocks_rate_there_is_no_figure(self):
        with self.assertRaisesRegex(parse.Misfit, "rate"):
            parse.testpmd(recorded("testpmd-null-22.11.txt"), {})

    def test_quoll_fwd_is_counted_like_its_peer_and_tells_the_clocks_rate(self):
        context = {}
        values = parse.fwd(recorded("fwd-null.json"), context)
        self.assertAlmostEqual(values["ticks"], HZ / 142081660.0)
        self.assertEqual(context["tsc_hz"], HZ)

    def test_quoll_fwd_that_dropped_packets_does_not_fit(self):
        text = recorded("fwd-null.json").replace('"tx_full": 0', '"tx_full": 3')
        with self.assertRaisesRegex(parse.Misfit, "dropped"):
            parse.fwd(text, {})

    def test_a_figure_that_is_no_number_does_not_fit(self):
        for text in ('{"cases": [{"name": "null", "ticks": "7"}]}', '{"cases": [3, {"name": "null", "ticks": null}]}',
                     '{"cases": [{"name": "null", "ticks": NaN}]}', '{"cases": [{"name": "null", "ticks": true}]}'):
            with self.assertRaises(parse.Misfit):
                parse.figures({"null": ("cases.null.ticks", 1)})(text, {})
        with self.assertRaises(parse.Misfit):
            parse.fwd('{"packets_per_s": "7", "tick_hz": 2, "tx_full": 0}', {})

    def test_quoll_gen_is_counted_by_what_it_sent(self):
        context = {}
        values = parse.gen('{"tick_hz": 2000000000, "sent": {"packets_per_s": 50000000.0}}', context)
        self.assertEqual((values, context), ({"ticks": 40.0}, {"tsc_hz": 2000000000}))
        with self.assertRaisesRegex(parse.Misfit, "no packets"):
            parse.gen('{"tick_hz": 2000000000, "sent": {"packets_per_s": 0}}', {})

    def test_what_is_no_json_does_not_fit(self):
        with self.assertRaisesRegex(parse.Misfit, "no JSON"):
            parse.fwd("quoll fwd: null: out of memory", {})


class Pairs(unittest.TestCase):
    """A storage target and its initiator."""

    def test_each_depth_has_its_iops_and_percentiles(self):
        doc, values = json.loads(recorded("pair.json")), parse.pair(recorded("pair.json"), {})
        for case in doc["cases"]:
            for key in ("iops", "p50_ns", "p99_ns"):
                self.assertEqual(values[f"{case['name']} {key}"], case[key])
        self.assertEqual(values["first_io_ms"], doc["first_io_ms"])
        self.assertEqual(values["target_mib"] * (1 << 20), doc["target_memory_bytes"])
        self.assertEqual(values["idle_cpu"], doc["idle_cpu_percent"])
        self.assertAlmostEqual(values["wake p50_us"], doc["wake"]["p50_ns"] / 1000)

    def test_a_pair_that_was_not_left_idle_says_nothing_of_it(self):
        doc = json.loads(recorded("pair.json"))
        del doc["idle_cpu_percent"], doc["wake"]
        self.assertNotIn("idle_cpu", parse.pair(json.dumps(doc), {}))

    def test_spdks_iops_are_those_of_all_its_namespaces_and_its_percentiles_nanoseconds(self):
        self.assertEqual(pair.spdk_iops(recorded("spdk-nvme-perf-26.09.txt")), 800792.38)
        percentiles = pair.spdk_percentiles(recorded("spdk-nvme-perf-26.09.txt"))
        self.assertAlmostEqual(percentiles[50.0], 2724)
        self.assertAlmostEqual(percentiles[99.9], 5957589)

    def test_spdk_that_found_no_namespace_does_not_fit(self):
        for read in (pair.spdk_iops, pair.spdk_percentiles):
            with self.assertRaises(parse.Misfit):
                read("Initializing NVMe Controllers\nAttached to NVMeoF Controller at VFIOUSER (/run/q)\n")

    def test_spdks_driver_needs_hugepages_its_target_none(self):
        with mock.patch.object(pair.shutil, "which", lambda name: name), mock.patch.object(pair, "huge_mib", lambda: 1000):
            self.assertIsNone(pair.missing("spdk", "quoll", 4096, True))
            self.assertIsNone(pair.missing("quoll", "quoll", 4096, False))
            self.assertIsNone(pair.missing("quoll", "spdk", 0, True))
            self.assertIn("hugetlbfs", pair.missing("quoll", "spdk", 0, False))
            self.assertIn("hugetlbfs", pair.missing("spdk", "spdk", 1024, True))

    def test_a_program_of_spdks_that_is_missing_is_named(self):
        with mock.patch.object(pair.shutil, "which", lambda name: None):
            self.assertIn("spdk_tgt", pair.missing("spdk", "quoll", 0, True))
            self.assertIn("spdk_nvme_perf", pair.missing("quoll", "spdk", 0, True))
            self.assertIsNone(pair.missing("quoll", "quoll", 0, True))


class Links(unittest.TestCase):
    """Two forwarders over vhost-user."""

    def test_testpmd_tells_what_polls_with_packets_took_and_what_both_ports_sent_at_last(self):
        self.assertEqual(parse.testpmd_cycles(recorded("testpmd-link-22.11.txt")),
                         {"ticks_per_packet": 94.92, "packets_per_s": 11328051 + 11326570})

    def test_testpmd_that_forwarded_nothing_or_was_not_looked_at_does_not_fit(self):
        text = recorded("testpmd-link-22.11.txt")
        for spoilt in (text.replace("packets=26651140", "packets=0"), text.replace("CPU cycles", "cycles"), text.replace("NIC statistics", "")):
            with self.assertRaises(parse.Misfit):
                parse.testpmd_cycles(spoilt)

    def test_a_link_gives_ticks_a_packet_and_millions_a_second(self):
        values = parse.link('{"ticks_per_packet": 25.5, "packets_per_s": 12500000}', {})
        self.assertEqual(values, {"ticks": 25.5, "mpps": 12.5})

    def test_a_socket_listens_when_it_has_been_told_to(self):
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as sock:
            path = os.path.join(folder, "a")
            sock.bind(path)
            self.assertFalse(link.listens(path))
            sock.listen()
            self.assertTrue(link.listens(path))
            self.assertFalse(link.listens(path + "b"))

    def forwarder(self, shell):
        one = link.Forwarder(["sh", "-c", shell], min(os.sched_getaffinity(0)), "/tmp", link.subprocess.PIPE)
        self.addCleanup(one.kill)
        return one

    def test_what_a_forwarder_says_is_waited_for_and_kept(self):
        one = self.forwarder("echo one; read -r line; echo two")
        one.await_(lambda said: "one" in said)
        self.assertNotIn("two", one.said)
        one.child.stdin.write(b"go\n")
        one.child.stdin.flush()
        one.wait()
        self.assertEqual(one.said, "one\ntwo\n")

    def test_a_forwarder_that_ends_instead_is_quoted(self):
        with self.assertRaisesRegex(machine.Failed, "(?s)it ended.*no such port"):
            self.forwarder("echo no such port").await_(lambda said: "link up" in said)

    def test_a_forwarder_that_fails_is_quoted(self):
        with self.assertRaisesRegex(machine.Failed, "(?s)exit status 3.*no such port"):
            self.forwarder("echo no such port; exit 3").wait()

    def test_testpmd_is_needed_on_either_side(self):
        with mock.patch.object(link.shutil, "which", lambda name: None):
            self.assertIn("dpdk", link.missing("quoll", "dpdk"))
            self.assertIn("dpdk", link.missing("dpdk", "quoll"))
            self.assertIsNone(link.missing("quoll", "quoll"))

    def test_each_link_is_measured_with_the_same_program_at_the_other_end(self):
        for row in rows.ROWS:
            if row.group == "links":
                ours, theirs = row.quoll[0], row.peers[0][1]
                self.assertEqual(theirs, "dpdk" + ours.removeprefix("quoll"))


class Rows(unittest.TestCase):
    def test_each_row_asks_programs_that_there_are_and_has_a_group(self):
        names = [row.name for row in rows.ROWS]
        self.assertEqual(len(names), len(set(names)))
        for row in rows.ROWS:
            self.assertIn(row.group, rows.GROUPS)
            for program in [row.quoll[0]] + [peer[1] for peer in row.peers]:
                self.assertIn(program, programs.BY_NAME)

    def test_rows_are_chosen_by_name_and_by_group(self):
        self.assertEqual([row.name for row in rows.chosen(["start"])], ["start"])
        self.assertEqual({row.group for row in rows.chosen(["idle"])}, {"idle"})
        self.assertEqual(rows.chosen([]), rows.ROWS)

    def test_a_name_that_is_none_is_refused(self):
        with self.assertRaisesRegex(ValueError, "spcs"):
            rows.chosen(["spcs"])


class Rounds(unittest.TestCase):
    """Measurement, on programs made of sh."""

    def measure(self, rounds, *made):
        names = [program.name for program in made]
        row = rows.Row("r", "rings", "?", "ms", "r", (names[0], "x"), [("peer", names[-1], "x")], ("ratio", 1.0))
        with mock.patch.object(programs, "PROGRAMS", list(made)):
            measurement = measure.Measurement([row], {"cpus": [0], "build": "/nowhere"}, lambda text: None)
            measurement.run(rounds)
        return measurement, measure.finish([row], measurement)[0]

    def program(self, name, shell, needs=None, cpus=1):
        return programs.Program(name, "peer", needs, cpus, lambda context: ["sh", "-c", shell], None,
                                lambda text, context: {"x": float(text)} if text.strip() else {}, False)

    def test_programs_run_in_turns_and_each_round_gives_a_value(self):
        with tempfile.NamedTemporaryFile("r") as log:
            ours, theirs = (self.program(name, f"echo {name} >>{log.name}; wc -l <{log.name}") for name in ("q", "p"))
            _, row = self.measure(3, ours, theirs)
            self.assertEqual(log.read().split(), ["q", "p"] * 3)
        self.assertEqual(row["quoll"]["ms"]["all"], [1, 3, 5])
        self.assertEqual(row["peers"][0]["ms"]["all"], [2, 4, 6])
        self.assertAlmostEqual(row["peers"][0]["ratio"], 0.75)

    def test_a_program_that_fails_is_an_error_and_not_run_again(self):
        with tempfile.NamedTemporaryFile("r") as log:
            failing = self.program("p", f"echo p >>{log.name}; exit 1")
            measurement, row = self.measure(3, self.program("q", "echo 1"), failing)
            self.assertEqual(log.read().split(), ["p"])
        self.assertIn("exit status 1", measurement.errors["p"])
        self.assertIn("error", row["peers"][0])
        self.assertIsNone(row["peers"][0]["met"])

    def test_a_figure_that_the_output_lacks_is_an_error(self):
        measurement, _ = self.measure(1, self.program("q", "echo 1"), self.program("p", "echo"))
        self.assertIn("no figure 'x'", measurement.errors["p x"])

    def test_a_peer_that_is_not_installed_is_no_error(self):
        measurement, row = self.measure(1, self.program("q", "echo 1"), self.program("p", "echo 2", "no-such-program"))
        self.assertEqual(measurement.errors, {})
        self.assertEqual(row["peers"][0]["missing"], "peer: not installed")
        self.assertEqual(row["quoll"]["ms"]["median"], 1)

    def test_what_needs_more_cores_than_there_are_is_left_out(self):
        measurement, _ = self.measure(1, self.program("q", "echo 1"), self.program("p", "echo 2", None, 2))
        self.assertEqual(measurement.missing, {"p": "needs 2 physical cores"})


class Judgement(unittest.TestCase):
    def test_where_more_is_better_the_aim_is_the_least(self):
        peers = [{"name": "SPDK", **side("spdk_perf", [100, 120], "iops")}]
        for aim, met in ((1.3, True), (1.5, False)):
            row = rows.Row("r", "target", "?", "iops", "r", None, None, ("ratio", aim))
            judged = measure.finish_row(row, side("quoll", [150, 160], "iops"), [dict(peers[0])])["peers"][0]
            self.assertEqual((judged["aim"], judged["met"]), (f"at least {aim} of SPDK's", met))

    def judge(self, mine, theirs, aim):
        peers = [{"name": "DPDK", **(side("testpmd", theirs) if theirs else {"program": "testpmd", "missing": "dpdk: not installed"})}]
        row = rows.Row("r", "rings", "?", "ms", "r", None, None, aim)
        return measure.finish_row(row, side("quoll", mine), peers)

    def test_the_ratio_is_the_median_of_those_of_the_rounds(self):
        row = self.judge([2, 3, 100], [10, 12, 11], ("ratio", 0.7))
        self.assertAlmostEqual(row["peers"][0]["ratio"], 3 / 12)
        self.assertIs(row["peers"][0]["met"], True)

    def test_an_aim_that_is_missed_is_said_to_be(self):
        self.assertIs(self.judge([9], [10], ("ratio", 0.7))["peers"][0]["met"], False)
        self.assertIs(self.judge([9], [10], ("at most", 8))["met"], False)
        self.assertIs(self.judge([8], [10], ("at most", 8))["met"], True)

    def test_without_the_peer_nothing_is_known_but_our_figure_stays(self):
        row = self.judge([9], None, ("ratio", 0.7))
        self.assertIsNone(row["peers"][0]["met"])
        self.assertEqual(row["quoll"]["ms"]["median"], 9)
        self.assertIn("dpdk: not installed", "\n".join(report.table_lines([row])))


class Lab(unittest.TestCase):
    LINE = ('{"suite":"icount-fwd","name":"forward 60-byte frames, e1000e","unit":"instructions a frame",'
            '"quoll":{"median":90.5,"min":90,"max":91,"n":5},"peers":{"DPDK testpmd":{"median":130,"min":120,"max":140,"n":15},'
            '"kernel bridge":{"median":8000,"min":7000,"max":9000,"n":5}}}')

    def figures(self, text):
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as f:
            f.write(text)
            f.flush()
            return lab.read(f.name)

    def test_a_figure_of_the_lab_becomes_a_row_with_an_aim_for_each_peer(self):
        row = lab.row(self.figures(self.LINE)[0], "lab")
        self.assertEqual(row["unit"], "instructions_a_frame")
        self.assertEqual(row["quoll"]["instructions_a_frame"]["median"], 90.5)
        self.assertEqual([peer["aim"] for peer in row["peers"]],
                         ["at most 0.7 of DPDK testpmd's", "at most 0.1 of kernel bridge's"])
        self.assertEqual([peer["met"] for peer in row["peers"]], [True, True])

    def test_units_become_keys_and_words_again(self):
        for unit, key in (("instructions an I/O", "instructions_an_io"), ("MMIO accesses a frame", "mmio_accesses_a_frame")):
            self.assertEqual(lab.key(unit), key)
            self.assertEqual(report.words_of({"unit": key, "better": "lower"}), unit)

    def test_an_aim_may_be_for_one_queue_depth_only(self):
        figure = {**json.loads(self.LINE), "suite": "icount", "name": "randread 4 KiB, QD 1", "unit": "instructions an I/O"}
        self.assertEqual(lab.factor(figure, "thin io_uring loop"), 0.2)
        self.assertIsNone(lab.factor({**figure, "name": "randread 4 KiB, QD 32"}, "thin io_uring loop"))

    def test_of_iops_more_is_better_and_it_is_said(self):
        row = lab.row({**json.loads(self.LINE), "unit": "IOPS"}, "lab")
        self.assertEqual(row["better"], "higher")
        self.assertEqual(report.words_of(row), "IOPS (higher is better)")

    def test_a_peer_that_was_not_measured_is_said_to_be_missing(self):
        figure = {**json.loads(self.LINE), "peers": {"DPDK testpmd": None}}
        row = lab.row(figure, "lab")
        self.assertEqual(row["peers"][0]["missing"], "not measured")
        self.assertIsNone(row["peers"][0]["met"])

    def test_a_line_that_is_no_figure_is_refused_with_its_number(self):
        for wrong in ("figure | 3", '{"suite": "x"}', "[" * 100000, self.LINE.replace('"min":90', '"min":95'),
                      self.LINE.replace('"unit":"instructions a frame"', '"unit":7'),
                      self.LINE.replace('"median":90.5', '"median":NaN'), self.LINE.replace('"suite":"icount-fwd"', '"suite":null'),
                      self.LINE.replace('"median":90.5,"min":90,"max":91', '"median":"9","min":"9","max":"9"')):
            with self.assertRaisesRegex(ValueError, ":2: no figure"):
                self.figures(self.LINE + "\n" + wrong + "\n")


class Pages(unittest.TestCase):
    def document(self):
        row = rows.Row("spsc", "rings", "a <question>", "ms", "SPSC\\nbulk 32", None, None, ("ratio", 0.5))
        done = measure.finish_row(row, side("bench", [1.0, 2.0, 3.0]), [{"name": "DPDK", **side("test", [4.0])}])
        options = {"started_at": "now", "duration_s": 1, "rounds": 3, "quick": False, "tsc_hz": HZ}
        return report.document(machine.environment(machine.choose_cpus()), [done], ["something <failed>"], options)

    def test_the_text_has_medians_spread_ratio_and_verdict(self):
        text = report.text(self.document())
        self.assertRegex(text, r"spsc +ms +2\.00 \(1\.00-3\.00\) +DPDK +4\.00 +0\.50 +at most 0\.5 of DPDK's +met")

    def test_the_page_is_one_file_that_fetches_nothing_and_escapes_what_it_quotes(self):
        text = page.page(self.document())
        self.assertIn("a &lt;question&gt;", text)
        self.assertIn("something &lt;failed&gt;", text)
        self.assertNotRegex(text, r"<script|<link|<img|src=|href=\"http|href='http|@import")

    def test_a_plot_has_title_units_and_the_values_on_its_bars(self):
        script = page.gnuplot_script("Rings", self.document()["rows"], "ms")
        for words in ('set title "Rings"', 'set ylabel "ms"', '2.0 1.0 3.0 "2.00"', '4.0 4.0 4.0 "4.00"', 'SPSC\\nbulk 32'):
            self.assertIn(words, script)

    def test_names_out_of_a_file_tell_the_plotter_nothing(self):
        document = self.document()
        for evil in ("a`touch told`", 'a"; system("touch told") #', "a\n!touch told\n", "a\\\\`touch told`", "a\u2028\r!touch told"):
            document["rows"][0]["label"] = document["rows"][0]["peers"][0]["name"] = evil
            script = page.gnuplot_script(f"Rings{evil}", document["rows"], "ms")
            self.assertNotRegex(script, "`|\\\\(?!n|\n)|\r", evil)
            self.assertEqual([line for line in script.split("\n") if line.startswith("!")], [], evil)
            self.assertEqual(script.count('"') % 2, 0, evil)
            page.plot("Rings", document["rows"], "ms") # gnuplot, where there is one, takes it
        self.assertEqual(page.escape_label('2 "x", 50 % (a/b)\\nQD 1'), "2 'x', 50 % (a/b)\\nQD 1")

    def test_names_in_two_pictures_of_a_page_do_not_meet(self):
        svg = page.unique_ids('<svg><g id="a"/><use xlink:href=\'#a\'/><path fill="url(#a)"/></svg>', "x")
        self.assertEqual(svg, '<svg><g id="x_a"/><use xlink:href=\'#x_a\'/><path fill="url(#x_a)"/></svg>')

    def test_the_report_is_read_back_as_it_was_written(self):
        doc = self.document()
        with tempfile.NamedTemporaryFile("r", encoding="utf-8") as f:
            report.write_json(f.name, doc)
            self.assertEqual(json.load(f), doc)


class Processes(unittest.TestCase):
    def test_a_program_that_fails_is_quoted(self):
        with self.assertRaisesRegex(machine.Failed, "(?s)exit status 3.*why it failed"):
            machine.run(["sh", "-c", "echo why it failed >&2; exit 3"])

    def test_a_program_that_does_not_end_is_ended(self):
        with self.assertRaisesRegex(machine.Failed, "too long"):
            machine.run(["sleep", "60"], timeout_s=0.2)

    def test_a_program_is_told_its_lines_after_its_prompt(self):
        out, _ = machine.run(["sh", "-c", "printf 'testpmd> '; cat"], [("start", 0), ("quit", 0)])
        self.assertEqual(out, "testpmd> start\nquit\n")

    def test_a_command_line_is_shown_as_one_would_type_it(self):
        self.assertEqual(machine.shown([machine.TOP + "/build/x", "ring:a?loop=1"], [("start", 0.5), ("quit", 0)]),
                         "(echo start; sleep 0.5; echo quit) | build/x 'ring:a?loop=1'")


if __name__ == "__main__":
    unittest.main()
