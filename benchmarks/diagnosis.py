"""Does the examiner name mistakes right, by kind, and how long does it take?

    python benchmarks/diagnosis.py [KIND ...] [--json FILE] [--all]

Examines every implementation of `tests/mistakes`: those with a mistake should be caught, and the first finding should
be of the kind that a teacher would name; in the correct ones nothing should be found. Prints a table by kind, then what
was named otherwise. `--all` also lists what was named right.
"""

import argparse
import json
import statistics
import sys
import time
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from minicnn.check import Kind, Report, examine

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import mistakes

SECONDS = 3.0  # for the calls of one candidate


def check(entry: Any) -> tuple[Report, float]:
    """Return the report on an entry, and how many seconds it took."""
    begun = time.perf_counter()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        if hasattr(entry, "function"):
            report = examine(entry.op, entry.function, seconds=SECONDS)
        else:
            report = entry.check(entry.x(np.random.default_rng(0)))
    return report, time.perf_counter() - begun


def judge(entry: Any) -> dict[str, Any]:
    """Return what became of one entry."""
    report, seconds = check(entry)
    first = report.findings[0].kind if report.findings else None
    return {
        "name": entry.name,
        "operation": getattr(entry, "op", "gradcheck"),
        "kind": getattr(entry, "kind", None),
        "also": list(getattr(entry, "also", ())),
        "caught": bool(report.findings),
        "named": first and str(first),
        "seconds": round(seconds, 3),
    }


def is_right(record: dict[str, Any]) -> bool:
    return record["named"] in (record["kind"], *record["also"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="only mistakes of these kinds (default: all)")
    parser.add_argument("--json", metavar="FILE", help="write every verdict to this file")
    parser.add_argument("--all", action="store_true", help="list what was named right, too")
    arguments = parser.parse_args()

    wanted = set(arguments.kinds or Kind)
    if unknown := wanted - set(Kind):
        parser.error(f"there is no kind {', '.join(sorted(unknown))}; the kinds are {', '.join(Kind)}")
    entries = [entry for entry in (*mistakes.MISTAKES, *mistakes.LAYER_MISTAKES) if entry.kind in wanted]
    faulty = [judge(entry) for entry in entries]
    correct = [judge(entry) for entry in (*mistakes.CORRECT, *mistakes.LAYER_CORRECT)]
    kinds: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in faulty:
        kinds[record["kind"]].append(record)

    print(f"{'kind':<18}{'mistakes':>9}{'caught':>8}{'named right':>13}   named otherwise")
    for kind, own in [*sorted(kinds.items()), ("all", faulty)]:
        caught, right = sum(r["caught"] for r in own), sum(map(is_right, own))
        others = sorted({str(r["named"]) for r in own if not is_right(r)}) if kind != "all" else []
        share = f"{right} ({right / len(own):.1%})"
        print(f"{kind:<18}{len(own):>9}{caught:>8}{share:>13}   {', '.join(others)}".rstrip())
    alarms = [record["name"] for record in correct if record["caught"]]
    print(f"\n{len(correct)} correct implementations, {len(alarms)} false alarms {' '.join(alarms)}".rstrip())
    times = [record["seconds"] for record in (*faulty, *correct)]
    print(f"seconds a candidate: median {statistics.median(times):.2f}, largest {max(times):.2f}")
    for record in faulty:
        if arguments.all or not is_right(record):
            expected = " or ".join([record["kind"], *record["also"]])
            print(f"  {record['operation']}, {record['name']}: {expected}; named {record['named']}")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps({"mistakes": faulty, "correct": correct}, indent=1))


if __name__ == "__main__":
    main()
