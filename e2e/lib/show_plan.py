"""Prints a MigrationPlan (JSON on standard input) as people read it."""

import json
import sys

BLOCKS = {"Nothing": "blocks nobody", "Writes": "blocks writes", "ReadsAndWrites": "blocks reads and writes"}
WEAK = {"AccessShare", "RowShare", "RowExclusive"}

plan = json.load(sys.stdin)["spec"]
summary = plan["summary"]
print(f"{summary['steps']} steps for {summary['statements']} statements; rollback {summary['rollback']}; {plan['digest'][:19]}")
for number, step in enumerate(plan["steps"], 1):
    print(f"{number:2}. [{step['stage']}] {step['description']}")
    for lock in step["locks"]:
        if lock["mode"] in WEAK:
            continue
        brief = lock["blocks"] != "Nothing" and not step.get("scans")
        print(f"      {lock['mode']} on {lock['relation']}: {BLOCKS[lock['blocks']]}{' for an instant' if brief else ''}")
