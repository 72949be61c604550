"""The receipt for the GPU tests: which state of the GPU sources was last seen green on a card, and on which.

    pytest -m gpu                                           on a machine with a GPU: writes the receipt when all pass
    python tests/gpu/receipt.py                             says whether the receipt is for the sources as they are
    python tests/gpu/receipt.py --pending "why not yet"     admits that this state was not seen on a card

Machines without a GPU cannot know whether a change of the kernels works on one. So a test fails when the sources have
moved on, and whoever changed them either runs the tests on a card or admits, in the commit, that this is still to do.
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILE = Path(__file__).with_name("gpu-receipt.json")
FOLDERS = ("minicnn/kernels/cuda", "tests/gpu")
SUFFIXES = {".py", ".cu", ".h"}
REMEDY = (
    "run `pytest -m gpu` on a machine with a GPU and commit tests/gpu/gpu-receipt.json, "
    'or admit that it is still to do: `python tests/gpu/receipt.py --pending "why"`'
)


def gpu_sources() -> list[Path]:
    """All files whose change makes a run on a card necessary: the kernels, and the tests of them."""
    found = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES)
    return sorted(path for path in found if "__pycache__" not in path.parts)


def hash_of(files: Iterable[Path], root: Path = ROOT) -> str:
    """One hash of the files' names and contents; line ends do not count, for Git may change them."""
    total = hashlib.sha256()
    for path in files:
        content = path.read_bytes().replace(b"\r\n", b"\n")
        total.update(path.relative_to(root).as_posix().encode() + b"\0" + hashlib.sha256(content).digest())
    return total.hexdigest()


def sources_hash() -> str:
    """The hash of the GPU sources as they are."""
    return hash_of(gpu_sources())


def problem_of(receipt: dict | None, current: str) -> str | None:
    """What is wrong with a receipt for sources of this hash; None if they were seen on a card or are admitted."""
    if receipt is None:
        return f"there is no receipt for the GPU tests; {REMEDY}"
    pending = receipt.get("pending")
    if pending:
        if pending.get("sources") == current and str(pending.get("reason", "")).strip():
            return None
        return f"the GPU sources have changed since they were last said to be pending; {REMEDY}"
    if receipt.get("sources") != current:
        return f"the GPU sources have changed since they were last seen green on {receipt.get('device')}; {REMEDY}"
    return None


def state_of(receipt: dict) -> str:
    """A receipt in words."""
    seen = f"green on {receipt['device']}, {receipt['date']}" if receipt.get("device") else "never run on a card"
    pending = receipt.get("pending")
    return f"{seen}; this state is pending: {pending['reason']}" if pending else seen


def read(file: Path = FILE) -> dict | None:
    return json.loads(file.read_text()) if file.exists() else None


def write(receipt: dict, file: Path = FILE) -> None:
    file.write_text(json.dumps(receipt, indent=1) + "\n")


def receipt_of_a_run(tests: Iterable[str]) -> dict:
    """The receipt for these tests, which have passed here just now."""
    import cupy

    name = cupy.cuda.runtime.getDeviceProperties(0)["name"]
    return {
        "sources": sources_hash(),
        "device": name.decode() if isinstance(name, bytes) else name,
        "driver": cupy.cuda.runtime.driverGetVersion(),
        "cupy": cupy.__version__,
        "date": time.strftime("%Y-%m-%d"),
        "tests": sorted(tests),
    }


def pending_receipt(reason: str, before: dict | None) -> dict:
    """What was seen on a card before, and the admission that the sources as they are were not."""
    return {**(before or {}), "pending": {"reason": reason, "sources": sources_hash()}}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--pending", metavar="REASON", help="admit that the sources as they are were not seen on a card"
    )
    options = parser.parse_args(arguments)
    if options.pending is not None:
        if not options.pending.strip():
            parser.error("--pending needs a reason")
        write(pending_receipt(options.pending, read()))
    receipt = read()
    problem = problem_of(receipt, sources_hash())
    print(problem or state_of(receipt))
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
