"""Files are replaced whole or not at all, whoever else writes them."""

import os
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from minicnn.train.files import prepare_folder, replace_file


def test_two_who_write_at_once_do_not_meet(tmp_path):
    both_are_writing = threading.Barrier(2, timeout=10)

    def write(content):
        def put(file):
            file.write(content[:5])
            both_are_writing.wait()
            file.write(content[5:])

        return lambda: replace_file(tmp_path / "file", put)

    contents = [b"one one one", b"two two two"]
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(write(content)) for content in contents]:
            done.result()
    assert (tmp_path / "file").read_bytes() in contents
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


WRITE_AND_DIE = """
import os, signal, sys
from pathlib import Path
from minicnn.train.files import replace_file
def write(file):
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
replace_file(Path(sys.argv[1]) / "best.npz", write)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to kill a process with")
def test_what_somebody_was_writing_when_killed_is_removed_and_what_others_are_writing_is_not(tmp_path):
    subprocess.run([sys.executable, "-c", WRITE_AND_DIE, str(tmp_path)], check=False)
    (left,) = tmp_path.iterdir()
    assert left.name.endswith(".new")
    alive = left.with_name(re.sub(r"-\d+-(\d+)\.new$", rf"-{os.getppid()}-\1.new", left.name))
    others = [alive, tmp_path / f"best.npz.elsewhere-{2**22 + 1}-1.new", tmp_path / "a-1-1.new", tmp_path / "mine.new"]
    for other in others:
        other.write_bytes(b"half")
    prepare_folder(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(others)
