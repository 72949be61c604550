"""Every lesson runs as it stands, prints something and warns about nothing."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

RUNS = "test_lesson_runs"
TAKE_TIMES = ("15_what_did_it_learn", "20_making_it_fast")
"""Lessons whose claims are about time, so that nothing else may run beside."""
SECONDS = 150
"""A lesson takes less than 60 s on two processors of its own; here two share them, on a machine that may be slower."""
CASE_STUDIES = ("32_annotating_tomograms",)
"""Lessons that train many networks on images of some size: about 90 s on two processors of their own."""
SECONDS = 300
"""A lesson takes a minute or so on two processors of its own; here two share them, on a machine that may be slower."""
LESSONS = sorted((Path(__file__).parents[1] / "lessons").glob("[0-9][0-9]_*.py"))


def test_there_are_lessons():
    assert len(LESSONS) >= 3


def run(lesson, folder):
    environment = {**os.environ, "PYTHONWARNINGS": "error", "MPLBACKEND": "Agg"}
    command = [sys.executable, str(lesson)]
    seconds = 3 * SECONDS if lesson.stem in CASE_STUDIES else SECONDS
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=seconds)


@pytest.fixture(scope="module")
def runs(request, tmp_path_factory):
    """The lessons asked for, two at a time, as each keeps one processor busy; but for those that take times."""
    asked_for = [
        item.callspec.params["lesson"] for item in request.session.items if getattr(item, "originalname", "") == RUNS
    ]
    with ThreadPoolExecutor(2) as pool:
        yield {
            lesson: pool.submit(run, lesson, tmp_path_factory.mktemp(lesson.stem))
            for lesson in asked_for
            if lesson.stem not in TAKE_TIMES
        }


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_lesson_runs(lesson, runs, tmp_path):
    if lesson.stem in TAKE_TIMES:
        wait(runs.values())
        done = run(lesson, tmp_path)
    else:
        done = runs[lesson].result()
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
