"""CIFAR-10's binary files, as a folder and as the archive that is downloaded; small ones, of the same form."""

import gzip
import io
import tarfile

import numpy as np
import pytest

from minicnn import data
from minicnn.data import named
from minicnn.data.cifar import read_cifar10_batch
from minicnn.errors import DataError

CLASSES = "airplane automobile bird cat deer dog frog horse ship truck".split()
RECORDS = 20


def batch(seed):
    """One file's bytes, record by record, with the images and labels that went in."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (RECORDS, 3, 32, 32), dtype=np.uint8)
    labels = np.arange(RECORDS) % 10
    return b"".join(bytes([label]) + image.tobytes() for label, image in zip(labels, images, strict=True)), images


FILES = {f"data_batch_{i}.bin": batch(i)[0] for i in range(1, 6)}
FILES |= {"test_batch.bin": batch(9)[0], "batches.meta.txt": ("\n".join(CLASSES) + "\n\n").encode()}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def archive(tmp_path):
    """The files in an archive, in no order, among others."""
    path = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz") as file:
        for name in ("readme.html", *sorted(FILES, reverse=True)):
            content = FILES.get(name, b"<html>")
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


def keys(dataset):
    return sorted(zip((x.tobytes() for x in dataset.x), dataset.y.tolist(), strict=True))


def test_a_record_is_a_label_and_three_planes_of_rows(folder):
    content = bytes([7]) + bytes(range(256)) * 12
    images, labels = read_cifar10_batch(content, "some.bin")
    assert labels.tolist() == [7]
    for c, row, column in np.ndindex(3, 32, 32):
        assert images[0, c, row, column] == content[1 + c * 1024 + row * 32 + column]


def test_the_test_set_is_the_test_file_and_is_sealed(folder):
    splits = data.read_cifar10(folder)
    with pytest.raises(DataError, match="sealed"):
        splits.test.x  # noqa: B018
    test = splits.test.open("to look at it in a test")
    np.testing.assert_allclose(test.x, batch(9)[1] / 255, rtol=1e-6)
    assert test.x.dtype == np.float32
    assert test.y.dtype == np.int64
    assert test.y.tolist() == list(range(10)) * 2


def test_training_and_validation_set_are_the_five_batches_with_all_classes_in_both(folder):
    splits = data.read_cifar10(folder)
    assert (len(splits.train), len(splits.validation)) == (90, 10)
    assert set(splits.validation.y.tolist()) == set(range(10))
    expected = [
        ((image.astype(np.float32) / 255).tobytes(), n % 10) for i in range(1, 6) for n, image in enumerate(batch(i)[1])
    ]
    assert sorted(keys(splits.train) + keys(splits.validation)) == sorted(expected)


def test_the_seed_chooses_the_validation_images(folder):
    one, same, other = (keys(data.read_cifar10(folder, seed=seed).validation) for seed in (1, 1, 2))
    assert one == same != other


def test_the_archive_gives_the_same_as_the_folder(folder, archive):
    one, other = data.read_cifar10(folder), data.read_cifar10(archive)
    np.testing.assert_array_equal(one.train.x, other.train.x)
    np.testing.assert_array_equal(one.train.y, other.train.y)
    assert one.classes == other.classes == tuple(CLASSES)


@pytest.mark.parametrize("place", ["folder", "archive"])
@pytest.mark.parametrize("root", ["above", "itself"])
def test_load_finds_both_by_name(place, root, request):
    path = request.getfixturevalue(place)
    root = path.parent if root == "above" or place == "archive" else path
    assert len(data.load("cifar10", root=root).train) == 90


@pytest.mark.parametrize("lacking", FILES)
def test_a_folder_half_unpacked_is_mended_by_a_download(folder, tmp_path, archive, lacking, monkeypatch):
    (folder / lacking).unlink()
    kept = archive.rename(tmp_path / "on_the_server.tar.gz")

    def fetch(file, place):
        place.mkdir(parents=True, exist_ok=True)
        (place / file.name).write_bytes(kept.read_bytes())

    monkeypatch.setattr(named, "fetch", fetch)
    with pytest.raises(DataError, match=f"lacks {lacking}"):
        data.load("cifar10", root=tmp_path)
    assert len(data.load("cifar10", root=tmp_path, download=True).train) == 90
    assert len(data.load("cifar10", root=tmp_path).train) == 90


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(DataError, match=f"lacks {name}; CIFAR-10's binary version has data_batch_1.bin"):
        data.read_cifar10(folder)


@pytest.mark.parametrize("length", [0, 1, 3072, 3074, RECORDS * 3073 - 1])
def test_a_truncated_file_says_how_many_records_are_left(folder, length):
    (folder / "data_batch_3.bin").write_bytes(FILES["data_batch_3.bin"][:length])
    with pytest.raises(
        DataError, match=rf"data_batch_3\.bin is truncated: {length} bytes are {length // 3073} records"
    ):
        data.read_cifar10(folder)


def test_a_label_above_9_is_named_with_its_record(folder):
    content = bytearray(FILES["data_batch_2.bin"])
    content[3073 * 13] = 10
    (folder / "data_batch_2.bin").write_bytes(content)
    with pytest.raises(DataError, match=r"data_batch_2\.bin: record 13 has the label 10; labels go from 0 to 9"):
        data.read_cifar10(folder)


def test_other_names_than_ten_are_refused(folder):
    (folder / "batches.meta.txt").write_text("cat\ndog\n")
    with pytest.raises(DataError, match=r"batches\.meta\.txt names 2 classes, expected 10"):
        data.read_cifar10(folder)


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.9, 0.999])
def test_a_truncated_archive_is_refused(archive, share):
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError, match="no archive, or a truncated or damaged one"):
        data.read_cifar10(archive)


def test_a_damaged_archive_is_refused(archive):
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        data.read_cifar10(archive)


def test_a_damaged_checksum_is_noticed_behind_any_padding(archive):
    content = bytearray(gzip.compress(gzip.decompress(archive.read_bytes()) + bytes(1 << 20)))
    archive.write_bytes(content)
    assert len(data.read_cifar10(archive).train) == 90
    content[-6] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        data.read_cifar10(archive)


def test_a_missing_path_is_named(tmp_path):
    with pytest.raises(DataError, match=r"there is no file or folder .*nowhere"):
        data.read_cifar10(tmp_path / "nowhere")
