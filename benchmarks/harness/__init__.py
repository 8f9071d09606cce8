# SPDX-License-Identifier: BSD-3-Clause
"""What `benchmarks/run` is made of.

programs.py   what is run, and how its output is read (parse.py)
rows.py       the questions: which figure of which program stands beside which
measure.py    rounds, interleaved; machine.py has cores, priorities, processes and what is recorded of the machine
lab.py        the rows that the lab VM brings
report.py     report.json and the text; page.py report.html with plots by gnuplot
"""
