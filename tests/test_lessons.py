"""Every lesson runs as it stands, prints something and warns about nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

LESSONS = sorted((Path(__file__).parents[1] / "lessons").glob("[0-9][0-9]_*.py"))


def test_there_are_lessons():
    assert len(LESSONS) >= 3


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_lesson_runs(lesson, tmp_path):
    environment = {**os.environ, "PYTHONWARNINGS": "error", "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [sys.executable, str(lesson)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
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
