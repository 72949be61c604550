"""Every lesson runs as it stands, prints something and warns about nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TAKE_TIMES = ("15_what_did_it_learn", "20_making_it_fast")
"""Lessons whose claims are about time."""
SECONDS = 300
"""A lesson takes a minute or so on two processors of its own, a case study up to three; this one may be slower."""
LESSONS = sorted((Path(__file__).parents[1] / "lessons").glob("[0-9][0-9]_*.py"))


def test_there_are_lessons():
    assert len(LESSONS) >= 3


@pytest.mark.parametrize(
    "lesson",
    [pytest.param(path, marks=[pytest.mark.alone] if path.stem in TAKE_TIMES else []) for path in LESSONS],
    ids=[path.stem for path in LESSONS],
)
def test_lesson_runs(lesson, tmp_path):
    environment = {**os.environ, "PYTHONWARNINGS": "error", "MPLBACKEND": "Agg"}
    command = [sys.executable, str(lesson)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 10


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_lesson_opens_as_a_notebook(lesson):
    text = lesson.read_text()
    assert text.startswith("# ---\n# jupyter:")
    assert text.count("\n# %% [markdown]\n") >= 3
    assert "\n# %%\n" in text


def test_first_lesson_leaves_its_figures(tmp_path):
    subprocess.run([sys.executable, str(LESSONS[0])], cwd=tmp_path, check=True, capture_output=True)
    for name in ("first_cnn.png", "first_cnn_digits.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
