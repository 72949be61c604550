"""What the README says is so: its examples run, its files exist, its tables name what there is."""

import re
from pathlib import Path

import pytest

import minicnn as mc
from minicnn import nn
from minicnn.backend import slots
from minicnn.backend.backends import BACKENDS
from minicnn.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_the_examples_run_one_after_the_other(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main("train --epochs 1".split()) == 0  # the last example uses its weights
    names: dict = {"__name__": "readme"}
    for example in EXAMPLES:
        exec(compile(example, "README.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "receptive field" in printed
    assert "'accuracy': 0.9" in printed
    assert printed.count(": ok") == 3
    shown_report = re.search(r"```\n(examine of.*?)```", README, flags=re.DOTALL)[1]
    assert shown_report in printed


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


def plugged_as_printed(text):
    """A function with just the arguments that the table prints, around the plain body."""
    name, arguments = re.fullmatch(r"(\w+)\((.*)\) -> .+", text).groups()
    positional, _, keywords = arguments.partition("*")
    names = [part.strip() for part in (positional + keywords).split(",") if part.strip()]
    given = [part.strip() for part in positional.split(",") if part.strip()]
    passed = ", ".join([*given, *(f"{n}={n}" for n in names if n not in given)])
    space = {"body": slots()[name].body}
    exec(f"def {name}({arguments}): called.append('{name}'); return body({passed})", space)
    space["called"] = []
    return name, space


def test_a_network_trains_through_the_signatures_of_the_table():
    functions = dict(map(plugged_as_printed, re.findall(r"`(\w+\([^`]*\) -> [^`]+)`", README)))
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding="same"), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 1), nn.AvgPool2d(2),
        nn.Flatten(), nn.Dropout(0.1), nn.Linear(16, 10),
    )  # fmt: skip
    digits = mc.data.load("digits")
    with mc.plug(**{name: space[name] for name, space in functions.items()}):
        mc.Trainer(model, loss=nn.CrossEntropyLoss(label_smoothing=0.1)).fit(digits.train.subset(range(64)))
    assert [name for name, space in functions.items() if not space["called"]] == []
