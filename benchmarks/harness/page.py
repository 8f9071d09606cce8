# SPDX-License-Identifier: BSD-3-Clause
"""report.html: one file, plots as SVG drawn by gnuplot inside it, nothing fetched from anywhere."""
import html
import re
import shutil
import subprocess

from . import report
from .rows import GROUPS

COLOURS = ["#1b6ca8", "#d9822b", "#6b8e23", "#8a6fb0"] # Quoll, its peers in the order of their names
STYLE = """
body { font: 15px/1.45 sans-serif; color: #222; background: #fff; max-width: 1180px; margin: 2em auto; padding: 0 1em }
table { border-collapse: collapse; margin: .6em 0 1.4em; font-size: 13px }
th, td { border-bottom: 1px solid #ddd; padding: .25em .7em; text-align: left; vertical-align: top }
td.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums }
.met { color: #19692c } .not { color: #a61b1b }
code { font-size: 12px; white-space: pre-wrap; overflow-wrap: anywhere }
svg { max-width: 100%; height: auto }
"""


def escape_label(text):
    """For gnuplot's double-quoted strings; \\n stays a line break. Names come out of files too, and there are characters
    that gnuplot runs commands for (`) or that end the string or the line: only what a name needs is left."""
    parts = re.split(r"\\+n", text.replace('"', "'"))
    return "\\n".join(re.sub(r"[^\w .,:;/%()+*=<>!?|#'-]|_", " ", part) for part in parts)


def bars(rows, unit):
    """[(series, [(place of the row, median, min, max)])]: Quoll, then each peer that has figures."""
    series = {"Quoll": []}
    for place, row in enumerate(rows):
        if unit in row["quoll"]:
            series["Quoll"].append((place, row["quoll"][unit]))
        for peer in row["peers"]:
            if unit in peer:
                series.setdefault(peer["name"], []).append((place, peer[unit]))
    return [(name, values) for name, values in series.items() if values]


def point(place, its, top):
    """A line of data: place, median, min, max as far as there is room, label."""
    label = report.number(its["median"])
    if its["max"] > top:
        label += f"\\n(to {report.number(its['max'])})"
    return f'{place:.4f} {its["median"]} {its["min"]} {min(its["max"], top)} "{label}"'


def gnuplot_script(title, rows, unit):
    """The whole script with its data, or None if there is nothing to draw."""
    series = bars(rows, unit)
    if not series:
        return None
    width = 0.8 / len(series)
    # One row's outlier shall not flatten all others: what reaches above is cut, and its label says how far it goes.
    every = [its for _, values in series for _, its in values]
    top = min(max(its["max"] for its in every), 1.6 * max(its["median"] for its in every)) or 1
    lines = [
        f'set terminal svg size {max(520, 150 + 130 * len(rows))},420 font "sans-serif,13" background rgb "white"',
        "set encoding utf8",
        f'set title "{escape_label(title)}" font ",16"',
        f'set ylabel "{escape_label(report.words_of(rows[0]))}"',
        'set xlabel "what is measured (median; the thin line is the spread from min to max)" offset 0,-1.3',
        "set bmargin 5.5",
        f"set yrange [0:{top * 1.25}]", f"set xrange [-0.6:{len(rows) - 0.4}]",
        "set grid ytics back lt 1 lw 0.7 lc rgb '#cccccc'", "set border 3 lc rgb '#666666'", "set tics nomirror", "set key at graph 1,1.13 right top horizontal",
        "set style fill solid 0.9 noborder", f"set boxwidth {width * 0.92:.3f}",
        "set xtics scale 0 (" + ", ".join(f'"{escape_label(row["label"])}" {i}' for i, row in enumerate(rows)) + ")",
    ]
    plots = []
    for nr, (name, values) in enumerate(series):
        shift = (nr - (len(series) - 1) / 2) * width
        lines.append(f"$series{nr} << EOD")
        lines += [point(place + shift, its, top) for place, its in values]
        lines.append("EOD")
        colour = COLOURS[nr % len(COLOURS)]
        plots.append(f"$series{nr} using 1:2 with boxes lc rgb '{colour}' title \"{escape_label(name)}\"")
        plots.append("'' using 1:3:(0):($4-$3) with vectors nohead lw 1.6 lc rgb '#333333' notitle")
        plots.append("'' using 1:4:5 with labels offset 0,0.9 font \",11\" notitle")
    return "\n".join(lines + ["plot " + ", \\\n     ".join(plots), ""])


def plot(title, rows, unit):
    """An <svg> element, or a sentence that says why there is none."""
    script = gnuplot_script(title, rows, unit)
    if script is None:
        return ""
    if not shutil.which("gnuplot"):
        return "<p>No plot: gnuplot is not installed.</p>"
    drawn = subprocess.run(["gnuplot"], input=script, capture_output=True, text=True, check=False)
    svg = re.search(r"<svg\b.*</svg>", drawn.stdout, re.S)
    if drawn.returncode or not svg:
        raise RuntimeError(f"gnuplot: {drawn.stderr.strip() or 'no picture'}")
    return unique_ids(svg.group(0), re.sub(r"\W", "", title + unit))


def unique_ids(svg, prefix):
    """Several pictures in one page must not share names."""
    svg = re.sub(r"\bid=(['\"])", rf"id=\1{prefix}_", svg)
    svg = re.sub(r"url\(#", f"url(#{prefix}_", svg)
    return re.sub(r"xlink:href=(['\"])#", rf"xlink:href=\1#{prefix}_", svg)


def row_html(row):
    lines = report.lines_of(row)
    cells = []
    for nr, (own, peer, theirs, ratio, aim, verdict) in enumerate(lines):
        first = ""
        if nr == 0:
            name, unit, ours = (html.escape(text) for text in own)
            span = f'rowspan="{len(lines)}"'
            first = (f"<td {span}>{name}</td><td {span}>{html.escape(row['question'])}</td><td {span}>{unit}</td>"
                     f"<td {span} class=n>{ours}</td>")
        mark = {"met": "met", "not met": "not"}.get(verdict, "")
        cells.append(f"<tr>{first}<td>{html.escape(peer)}</td><td class=n>{html.escape(theirs)}</td><td class=n>{ratio}</td>"
                     f'<td>{html.escape(aim)}</td><td class="{mark}">{verdict}</td></tr>')
    return "\n".join(cells)


def group_html(title, rows):
    units = list(dict.fromkeys(row["unit"] for row in rows))
    parts = [f"<h2>{html.escape(title)}</h2>"]
    for unit in units:
        alike = [row for row in rows if row["unit"] == unit]
        parts.append(plot(f"{title}: {report.words_of(alike[0])}", alike, unit))
    parts.append("<table><tr><th>row<th>question<th>unit<th>Quoll<th>peer<th>its figure<th>ratio<th>aim<th></tr>")
    parts += [row_html(row) for row in rows] + ["</table>"]
    return "\n".join(parts)


def page(doc):
    environment = "\n".join(report.environment_lines(doc["environment"]))
    parts = ["<!DOCTYPE html>", '<html lang="en"><head><meta charset="utf-8"><title>Quoll benchmarks</title>',
             f"<style>{STYLE}</style></head><body>", "<h1>Quoll beside its peers</h1>",
             f"<p>{html.escape(doc['started_at'])}, {doc['rounds']} round(s), interleaved; medians and spread (min-max); lower is"
             " better unless it says otherwise.</p>"]
    if doc["quick"]:
        parts.append("<p><b>A quick run: the programs are exercised, the figures are no evidence.</b></p>")
    for group, title in GROUPS.items():
        rows = [row for row in doc["rows"] if row["group"] == group]
        if rows:
            parts.append(group_html(title, rows))
    if doc["errors"]:
        parts += ["<h2>Errors</h2>", f"<code>{html.escape(chr(10).join(doc['errors']))}</code>"]
    parts += ["<h2>Machine</h2>", f"<code>{html.escape(environment)}</code>", "<h2>Command lines</h2>",
              f"<code>{html.escape(chr(10).join(report.command_lines(doc['rows'])))}</code>", "</body></html>", ""]
    return "\n".join(parts)


def write(path, doc):
    with open(path, "w", encoding="utf-8") as f:
        f.write(page(doc))
