"""What the README says is so: its examples run, its files exist, its tables name what there is."""

import re
from pathlib import Path

import pytest

from minicnn.backend import slots
from minicnn.backend.backends import BACKENDS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_the_examples_run_one_after_the_other(capsys):
    names: dict = {}
    for example in EXAMPLES:
        exec(compile(example, "README.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "receptive field" in printed
    assert "'accuracy': 0.9" in printed
    assert printed.count(": ok") == 2


def test_the_example_is_fifteen_lines():
    lines = [line for line in EXAMPLES[0].splitlines() if line.strip()]
    assert len(lines) == 15


def test_links_lead_somewhere():
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert targets
    assert not [target for target in targets if not (ROOT / target).exists()]


def test_all_lessons_are_listed():
    for lesson in (ROOT / "lessons").glob("[0-9][0-9]_*.py"):
        assert f"lessons/{lesson.name}" in README


@pytest.mark.parametrize(("text", "result"), re.findall(r"`(\w+\([^`]*\) -> [^`]+)`()", README))
def test_signatures_in_the_table_are_the_operations(text, result):
    name, arguments, results = re.fullmatch(r"(\w+)\((.*)\) -> (.+)", text).groups()
    slot = slots()[name]
    positional, _, keywords = arguments.partition("*")
    assert [p.strip() for p in (positional + keywords).split(",") if p.strip()] == [
        p for p in slot.signature.parameters if p in arguments
    ]
    assert tuple(r.strip() for r in results.split(",")) == slot.returns


def test_the_backends_are_listed():
    for name in BACKENDS:
        assert f"| `{name}`" in README
