#!/usr/bin/env python3
"""side_by_side_chart.py FILE: the JSON lines of side_by_side.sh as a table in Markdown (standard output) and as a chart
beside FILE (.svg): the longest statement of the application during each change, with each tool, on a logarithmic scale."""

import json
import math
import pathlib
import sys
from xml.sax.saxutils import escape

TOOLS = {"plain SQL": "#9aa0a6", "Reshape": "#d98e04", "Wesley": "#2b6cb0"}
LEFT, WIDTH, BAR, GAP, TOP = 210, 470, 14, 16, 46


def stall(run):
    return run["longestMilliseconds"][1]


def failed(run):
    return sum(run["failed"].values())


def chart(changes):
    most = max(stall(run) for runs in changes.values() for run in runs.values())
    decades = max(1, math.ceil(math.log10(most)))
    height = TOP + sum(len(runs) * BAR + GAP for runs in changes.values()) + 30
    at = lambda value: LEFT + WIDTH * math.log10(max(value, 1)) / decades
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 110}" height="{height}" '
        'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>',
        '<text x="10" y="16" font-size="13">Longest statement of the application during the change, ms</text>',
    ]
    for number, (tool, colour) in enumerate(TOOLS.items()):
        x = 10 + number * 110
        parts.append(f'<rect x="{x}" y="24" width="10" height="10" fill="{colour}"/><text x="{x + 14}" y="33">{tool}</text>')
    for decade in range(decades + 1):
        x = at(10**decade)
        parts.append(f'<line x1="{x:.0f}" x2="{x:.0f}" y1="{TOP}" y2="{height - 24}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.0f}" y="{height - 10}" text-anchor="middle">{10**decade}</text>')
    y = TOP + GAP / 2
    for change, runs in changes.items():
        parts.append(f'<text x="10" y="{y + len(runs) * BAR / 2 + 4:.0f}">{escape(change)}</text>')
        for tool, run in runs.items():
            length = max(at(stall(run)) - LEFT, 1)
            note = f"{stall(run):.0f}" + (f", {failed(run)} failed" if failed(run) else "")
            parts.append(f'<rect x="{LEFT}" y="{y:.0f}" width="{length:.0f}" height="{BAR - 2}" fill="{TOOLS[tool]}"/>')
            parts.append(f'<text x="{LEFT + length + 4:.0f}" y="{y + BAR - 4:.0f}">{note}</text>')
            y += BAR
        y += GAP
    return "\n".join([*parts, "</svg>"]) + "\n"


def table(changes, killed):
    print("| change | tool | failed statements | longest statement before → during, ms | statements a second, during / before "
          "| change, ms | killed half-way: calls until done, ms |")
    print("|---|---|---|---|---|---|---|")
    for change, runs in changes.items():
        for tool, run in runs.items():
            before, during = run["longestMilliseconds"]
            took = f"{run['migrationMilliseconds']:.0f}" if run["done"] else "not done"
            after = killed.get((change, tool))
            told = "" if after is None else (
                f"{after['calledAgain']}, {after['untilDoneMilliseconds']:.0f}" if after["done"] else "never done")
            print(f"| {change} | {tool} | {failed(run)} | {before:.0f} → {during:.0f} "
                  f"| {run['statementsPerSecondRatio']:.2f} | {took} | {told} |")


def main():
    file = pathlib.Path(sys.argv[1])
    changes, killed = {}, {}
    for line in filter(None, map(str.strip, file.read_text().splitlines())):
        run = json.loads(line)
        if "killedAfterMilliseconds" in run:
            killed[run["change"], run["tool"]] = run
        else:
            changes.setdefault(run["change"], {})[run["tool"]] = run
    table(changes, killed)
    file.with_suffix(".svg").write_text(chart(changes))


main()
