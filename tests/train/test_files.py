"""Files are replaced whole or not at all, whoever else writes them."""

import threading
from concurrent.futures import ThreadPoolExecutor

from minicnn.train.files import replace_file


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
