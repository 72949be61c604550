"""Downloads from a server on this machine that behaves well, or does not."""

import hashlib
import io
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from minicnn import data
from minicnn.cli import main, training
from minicnn.data import sources
from minicnn.data.download import Patience, RemoteFile, fetch
from minicnn.errors import DataError, OutputError

CONTENT = np.random.default_rng(0).bytes(300_000)
HASTE = Patience(connect=2, silence=0.3, window=0.3, least=1 << 16)


class Server(ThreadingHTTPServer):
    """Serves `content` in the way that the first folder of the address names, and counts what it was asked for."""

    daemon_threads = True
    content = CONTENT

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []
        self.over = threading.Event()

    def handle_error(self, request, client_address):
        """Say nothing of clients that have had enough."""

    def file(self, *manners, name="some.bin", content=CONTENT):
        """Return a file with one mirror for each of the manners."""
        self.content = content
        urls = tuple(f"http://127.0.0.1:{self.server_port}/{manner}/{name}" for manner in manners)
        return RemoteFile(name, hashlib.md5(content).hexdigest(), urls)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        manner = self.path.split("/")[1]
        self.server.asked.append(manner)
        if manner.isdecimal():
            self.send_error(int(manner))
            return
        if manner == "moved":
            self.send_response(302)
            self.send_header("Location", self.path.replace("moved", "well"))
            self.end_headers()
            return
        if manner == "silent":
            self.server.over.wait(10)
            return
        self.send_response(200)
        if manner != "unmeasured":
            self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        getattr(self, manner)(self.server.content)

    def well(self, content):
        self.wfile.write(content)

    unmeasured = well

    def truncates(self, content):
        self.wfile.write(content[:-1])

    def corrupts(self, content):
        self.wfile.write(content[:-1] + bytes([content[-1] ^ 1]))

    def stalls(self, content):
        self.wfile.write(content[:1000])
        self.server.over.wait(10)

    def drips(self, content):
        """Send a byte now and then, so that it is never silent for long."""
        for byte in content:
            self.wfile.write(bytes([byte]))
            if self.server.over.wait(0.02):
                return

    def log_message(self, *arguments):
        """Say nothing."""


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


def names(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("manner", ["well", "unmeasured", "moved"])
def test_what_comes_is_what_was_sent(server, tmp_path, manner):
    path = fetch(server.file(manner), tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "some.bin"
    assert path.read_bytes() == CONTENT
    assert names(tmp_path) == ["some.bin"]


def test_the_second_call_needs_no_network(server, tmp_path):
    file = server.file("well")
    assert fetch(file, tmp_path) == fetch(file, tmp_path)
    assert server.asked == ["well"]


FAILURES = {
    "404": "404 Client Error",
    "500": "500 Server Error",
    "truncates": "truncated: ",
    "corrupts": rf"what came is another file: md5 (?!{hashlib.md5(CONTENT).hexdigest()})[0-9a-f]{{32}}, "
    rf"expected {hashlib.md5(CONTENT).hexdigest()} \(300000 bytes\)",
    "stalls": "no byte for 0.3 s",
    "silent": "no byte for 0.3 s",
    "drips": r"too slow: \d+ bytes in 1 s",
}


@pytest.mark.parametrize("manner", FAILURES)
def test_a_mirror_that_fails_says_why_and_leaves_nothing(server, tmp_path, manner):
    began = time.monotonic()
    with pytest.raises(DataError, match=FAILURES[manner]) as told:
        fetch(server.file(manner), tmp_path, patience=HASTE)
    assert time.monotonic() - began < 8  # the server would have waited for 10 s
    assert names(tmp_path) == []
    file = server.file(manner)
    assert f"put into {tmp_path}: some.bin from {file.urls[0]} (md5 {file.md5})" in str(told.value)


@pytest.mark.parametrize("manner", FAILURES)
def test_after_a_mirror_that_fails_the_next_one_serves(server, tmp_path, manner):
    path = fetch(server.file(manner, "well", "500"), tmp_path, patience=HASTE)
    assert path.read_bytes() == CONTENT
    assert server.asked == [manner, "well"]
    assert names(tmp_path) == ["some.bin"]


def test_when_all_fail_each_reason_is_told(server, tmp_path):
    file = server.file("404", "truncates")
    with pytest.raises(DataError, match=rf"{file.urls[0]}: the server answered 404.*; {file.urls[1]}: truncated"):
        fetch(file, tmp_path)


def test_a_server_that_is_not_there_is_told(server, tmp_path):
    file = server.file("well")
    server.shutdown()
    server.server_close()
    with pytest.raises(DataError, match="the connection was refused"):
        fetch(file, tmp_path)


def test_an_unknown_server_is_told_as_a_lack_of_network(tmp_path):
    with pytest.raises(DataError, match="name of the server is not known; is there a network"):
        fetch(RemoteFile("some.bin", "0" * 32, ("http://nowhere.invalid/some.bin",)), tmp_path)


def test_a_file_that_is_there_is_never_overwritten(server, tmp_path):
    (tmp_path / "some.bin").write_bytes(b"packed by another program")
    assert fetch(server.file("well"), tmp_path).read_bytes() == b"packed by another program"
    assert server.asked == []


def test_what_other_files_there_are_stays(server, tmp_path):
    (tmp_path / "good.bin").write_bytes(b"good")
    with pytest.raises(DataError, match="another file"):
        fetch(server.file("corrupts"), tmp_path)
    assert names(tmp_path) == ["good.bin"]


def test_a_folder_that_cannot_be_made_is_told(server, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OutputError, match=r"cannot make the folder .*choose another root"):
        fetch(server.file("well"), tmp_path / "file" / "below")


def test_two_at_once_leave_one_whole_file(server, tmp_path):
    file = server.file("well")
    threads = [threading.Thread(target=fetch, args=(file, tmp_path)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names(tmp_path) == ["some.bin"]
    assert (tmp_path / "some.bin").read_bytes() == CONTENT


def test_an_interruption_leaves_nothing(server, tmp_path, monkeypatch):
    def interrupt(self, size):
        raise KeyboardInterrupt

    monkeypatch.setattr("minicnn.data.download._Pace.check", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch(server.file("well"), tmp_path)
    assert names(tmp_path) == []


# Data sets by name


@pytest.fixture
def blood(server, monkeypatch):
    """BloodMNIST's name and place, with a small file of its form on the server."""
    random = np.random.default_rng(0)
    content = {}
    for part, count in (("train", 40), ("val", 16), ("test", 16)):
        content[f"{part}_images"] = random.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
        content[f"{part}_labels"] = (np.arange(count)[:, None] % 8).astype(np.uint8)
    file = io.BytesIO()
    np.savez_compressed(file, **content)
    remote = server.file("500", "well", name="bloodmnist.npz", content=file.getvalue())
    monkeypatch.setitem(sources.MEDMNIST, "bloodmnist", remote)
    return content


def test_load_downloads_once_to_a_folder_of_the_sets_name(server, blood, tmp_path):
    splits = data.load("bloodmnist", root=tmp_path, download=True)
    np.testing.assert_allclose(splits.train.x, blood["train_images"].transpose(0, 3, 1, 2) / 255, rtol=1e-6)
    assert (tmp_path / "bloodmnist" / "bloodmnist.npz").is_file()
    again = data.load("bloodmnist", root=tmp_path)
    np.testing.assert_array_equal(splits.train.x, again.train.x)
    data.load("bloodmnist", root=tmp_path, download=True)
    assert server.asked == ["500", "well"]


def test_load_downloads_to_the_folder_of_the_environment_or_to_the_cache(server, blood, tmp_path, monkeypatch):
    monkeypatch.setattr("minicnn.data.named.cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setenv("MINICNN_DATA", str(tmp_path / "data"))
    data.load("bloodmnist", download=True)
    monkeypatch.delenv("MINICNN_DATA")
    data.load("bloodmnist", download=True)
    assert [path.parent.parent.name for path in sorted(tmp_path.rglob("*.npz"))] == ["cache", "data"]
    assert len(data.load("bloodmnist").train) == 40


def test_load_does_not_use_the_network_unasked(server, blood, tmp_path):
    with pytest.raises(DataError, match=r"neither in .*download=True \(--download on the command line\), or put into"):
        data.load("bloodmnist", root=tmp_path)
    assert server.asked == []


def test_the_command_line_downloads_what_it_trains_on(server, blood, tmp_path, monkeypatch, capsys):
    trained = []
    monkeypatch.setattr(training, "_train_and_test", lambda trainer, splits, *_, **__: trained.append(splits) or 0)
    monkeypatch.chdir(tmp_path)
    command = "train --dataset bloodmnist --data-root data --out run"
    assert main(command.split()) == 1
    assert "--download on the command line" in capsys.readouterr().err
    assert main([*command.split(), "--download"]) == 0
    assert main(["train", "--resume", "run"]) == 0  # on what was downloaded
    assert [len(splits.train) for splits in trained] == [40, 40]
    assert server.asked == ["500", "well"]


def test_the_command_line_refuses_sets_of_many_labels_before_it_downloads(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sources.MEDMNIST, "chestmnist", server.file("well", name="chestmnist.npz"))
    monkeypatch.chdir(tmp_path)
    assert main("train --dataset chestmnist --download --data-root data".split()) == 1
    told = capsys.readouterr().err
    assert "chestmnist has images with any number of findings" in told
    assert "nn.BCEWithLogitsLoss()" in told
    assert server.asked == []


@pytest.mark.parametrize("lacking", ["train", "t10k-labels"])
def test_of_mnist_the_missing_files_alone_are_downloaded(server, tmp_path, monkeypatch, lacking):
    import gzip
    import struct

    def idx(array):
        return gzip.compress(struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes())

    labels = (np.arange(200) % 10).astype(np.uint8)
    images = np.random.default_rng(0).integers(0, 256, (200, 28, 28), dtype=np.uint8)
    contents = {"images": idx(images), "labels": idx(labels)}
    served = []
    monkeypatch.setattr("minicnn.data.named.fetch", lambda file, folder: served.append(file.name) or put(file, folder))

    def put(file, folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file.name).write_bytes(contents[file.name.split("-")[1]])

    for file in sources.MNIST:
        if not file.name.startswith(lacking):
            put(file, tmp_path / "mnist")
    splits = data.load("mnist", root=tmp_path, download=True)
    assert (len(splits.train), len(splits.test)) == (180, 200)
    assert served == [file.name for file in sources.MNIST if file.name.startswith(lacking)]
