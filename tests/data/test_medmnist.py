"""MedMNIST's files: every kind of set that there is, and every way for a file to be wrong."""

import zipfile

import numpy as np
import pytest

from minicnn import data, nn
from minicnn.data.medmnist import CLASSES
from minicnn.errors import DataError

COUNTS = {"train": 12, "val": 5, "test": 6}


def arrays(*, size=8, colour=False, columns=1, classes=8, dtype=np.uint8):
    """What a file of the format holds, drawn at random; each class is there."""
    random = np.random.default_rng(0)
    content = {}
    for part, count in COUNTS.items():
        shape = (count, size, size, 3) if colour else (count, size, size)
        content[f"{part}_images"] = random.integers(0, 256, shape, dtype=np.uint8)
        labels = random.integers(0, 2, (count, columns)) if columns > 1 else np.arange(count)[:, None] % classes
        content[f"{part}_labels"] = labels.astype(dtype)
    return content


@pytest.fixture
def file(tmp_path):
    """Write arrays to a file of a name and return its path."""

    def write(content, name="some.npz"):
        path = tmp_path / name
        np.savez_compressed(path, **content)
        return path

    return write


def parts(splits):
    return {"train": splits.train, "val": splits.validation, "test": splits.test.open("to look at it in a test")}


def test_grey_images_get_a_channel_and_lie_between_0_and_1(file):
    content = arrays()
    splits = data.read_medmnist(file(content))
    for part, dataset in parts(splits).items():
        expected = np.array([[image.astype(float) / 255] for image in content[f"{part}_images"]])
        assert dataset.x.dtype == np.float32
        np.testing.assert_allclose(dataset.x, expected, rtol=1e-7)


def test_the_channels_of_colour_images_come_first(file):
    content = arrays(colour=True)
    x, images = data.read_medmnist(file(content)).train.x, content["train_images"]
    assert x.shape == (12, 3, 8, 8)
    assert x.flags.c_contiguous
    for n, c, i, j in np.ndindex(x.shape):
        assert x[n, c, i, j] == np.float32(images[n, i, j, c]) / np.float32(255)


@pytest.mark.parametrize("size", [28, 64])
def test_images_of_every_size_are_read(file, size):
    assert data.read_medmnist(file(arrays(size=size))).train.x.shape == (12, 1, size, size)


def test_the_files_own_split_is_kept_and_its_test_set_sealed(file):
    splits = data.read_medmnist(file(arrays()))
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (12, 5, 6)
    with pytest.raises(DataError, match="sealed"):
        splits.test.x  # noqa: B018
    assert splits.test.seal.openings == []


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_labels_become_int64_of_one_axis(file, dtype):
    content = arrays(dtype=dtype)
    for part, dataset in parts(data.read_medmnist(file(content))).items():
        np.testing.assert_array_equal(dataset.y, content[f"{part}_labels"][:, 0].astype(np.int64), strict=True)


def test_labels_without_a_second_axis_serve_as_well(file):
    content = arrays()
    content |= {name: labels[:, 0] for name, labels in content.items() if name.endswith("labels")}
    assert data.read_medmnist(file(content)).train.y.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3]


def test_several_findings_an_image_become_zeros_and_ones_for_the_bce_loss(file):
    content = arrays(columns=14)
    splits = data.read_medmnist(file(content, "chestmnist.npz"))
    np.testing.assert_array_equal(splits.train.y, content["train_labels"].astype(np.float32), strict=True)
    assert splits.classes[:2] == ("atelectasis", "cardiomegaly")
    loss = nn.BCEWithLogitsLoss().forward(np.zeros((12, 14), np.float32), splits.train.y)
    assert float(loss) == pytest.approx(np.log(2), rel=1e-6)


@pytest.mark.parametrize("name", ["bloodmnist.npz", "bloodmnist_64.npz", "BloodMNIST.npz"])
def test_the_name_of_the_file_tells_what_its_labels_mean(file, name):
    splits = data.read_medmnist(file(arrays(), name))
    assert splits.classes == splits.train.classes == CLASSES["bloodmnist"]
    assert splits.name == name.removesuffix(".npz")


def test_another_name_gives_numbers_up_to_the_largest_label_anywhere(file):
    content = arrays(classes=3)
    content["test_labels"][2, 0] = 4
    assert data.read_medmnist(file(content)).classes == ("0", "1", "2", "3", "4")


def test_a_grade_is_a_class_and_the_classes_are_in_its_order(file):
    assert data.read_medmnist(file(arrays(classes=5), "retinamnist.npz")).classes[4] == "grade 4"


def test_load_finds_it_by_name(file):
    path = file(arrays(), "bloodmnist.npz")
    assert data.load("bloodmnist", root=path.parent).classes == CLASSES["bloodmnist"]


def test_the_number_of_classes_is_that_of_the_publication():
    """Table 2 of the MedMNIST v2 paper."""
    counts = {"pathmnist": 9, "chestmnist": 14, "dermamnist": 7, "octmnist": 4, "pneumoniamnist": 2, "retinamnist": 5}
    counts |= {"breastmnist": 2, "bloodmnist": 8, "tissuemnist": 8}
    counts |= {"organamnist": 11, "organcmnist": 11, "organsmnist": 11}
    assert {name: len(set(classes)) for name, classes in CLASSES.items()} == counts


# Files that are wrong


@pytest.mark.parametrize("shape", [(12, 8, 8, 8), (12, 8, 8, 8, 3)])
def test_volumes_are_refused_in_plain_words(file, shape):
    with pytest.raises(DataError, match=r"holds volumes.*read one of the 2-D sets"):
        data.read_medmnist(file(arrays() | {"train_images": np.zeros(shape, np.uint8)}, "organmnist3d.npz"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"train_images": np.zeros((12, 64), np.uint8)}, r"train_images have shape \(12, 64\), expected \(N, H, W\)"),
        ({"val_images": np.zeros((5, 8, 8), np.float32)}, "val_images are float32, expected uint8"),
        ({"test_images": np.zeros((6, 9, 8), np.uint8)}, r"test_images have shape \(6, 9, 8\), but those of train"),
        ({"val_images": np.zeros((4, 8, 8), np.uint8)}, "4 val_images, but 5 val_labels"),
        ({"val_labels": np.zeros((5, 1), np.float32)}, "val_labels are float32, expected integers"),
        ({"val_labels": np.zeros((5, 1, 1), np.uint8)}, r"val_labels have shape \(5, 1, 1\), expected"),
        ({"val_labels": np.zeros((0, 1), np.uint8)}, r"val_labels have shape \(0, 1\), expected"),
        ({"val_labels": np.zeros((5, 2), np.uint8)}, r"labels of its parts have \[1, 2\] columns"),
        ({"test_labels": np.full((6, 1), 8, np.uint8)}, "test_labels hold 8 in example 0; labels go from 0 to 7"),
        ({"val_labels": np.full((5, 1), -1, np.int8)}, "val_labels hold -1 in example 0"),
        ({f"{part}_images": np.zeros((COUNTS[part], 0, 8), np.uint8) for part in COUNTS}, "there are none"),
    ],
)
def test_arrays_of_other_shapes_types_and_labels_are_refused(file, change, words):
    with pytest.raises(DataError, match=words):
        data.read_medmnist(file(arrays() | change, "bloodmnist.npz"))


def test_more_classes_than_examples_are_none(file):
    content = arrays(dtype=np.int64)
    content["val_labels"][3] = 22
    assert len(data.read_medmnist(file(content)).classes) == 23  # as many as there are examples
    content["val_labels"][3] = 3_000_000
    with pytest.raises(DataError, match=r"val_labels hold 3000000; are these class labels, 0, 1, \.\.\.\?"):
        data.read_medmnist(file(content))


def test_labels_below_0_are_told_before_others(file):
    content = arrays(dtype=np.int64)
    content |= {f"{part}_labels": np.full((count, 1), -1) for part, count in COUNTS.items()}
    content["test_labels"][0] = 3_000_000
    with pytest.raises(DataError, match="train_labels hold -1 in example 0; labels go from 0 upwards"):
        data.read_medmnist(file(content))


def test_a_finding_is_there_or_not(file):
    content = arrays(columns=14)
    content["val_labels"][3, 5] = 2
    with pytest.raises(DataError, match="val_labels hold 2 in example 3; labels go from 0 to 1"):
        data.read_medmnist(file(content, "chestmnist.npz"))


@pytest.mark.parametrize(("name", "columns"), [("chestmnist.npz", 1), ("chestmnist.npz", 13), ("bloodmnist.npz", 8)])
def test_labels_of_another_set_are_noticed_by_the_name(file, name, columns):
    with pytest.raises(DataError, match=f"labels have {columns} columns.*is the file's name right"):
        data.read_medmnist(file(arrays(columns=columns, classes=2), name))


def test_missing_arrays_are_named_with_those_that_are_there(file):
    content = arrays()
    del content["val_images"], content["test_labels"]
    with pytest.raises(DataError, match=r"lacks 'val_images', 'test_labels'; it holds 'train_images', 'train_labels'"):
        data.read_medmnist(file(content))


class Trap:
    """Unpickled, it would write that it was."""

    def __reduce__(self):
        return (open, ("unpickled", "w"))


def test_a_pickled_array_is_refused_and_not_unpickled(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = file(arrays() | {"val_labels": np.array([Trap()] * 5, dtype=object)})
    with pytest.raises(DataError, match="val_labels is pickled, and unpickling can run anything"):
        data.read_medmnist(path)
    assert not (tmp_path / "unpickled").exists()


def test_a_file_cut_anywhere_is_refused(file, tmp_path):
    content = file(arrays()).read_bytes()
    cut = tmp_path / "cut.npz"
    for length in range(0, len(content), 97):
        cut.write_bytes(content[:length])
        with pytest.raises(DataError, match=rf"no \.npz file, or a truncated one: it has {length} bytes"):
            data.read_medmnist(cut)


def test_damage_inside_is_noticed(file):
    path = file(arrays())
    content = bytearray(path.read_bytes())
    content[len(content) // 10] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        data.read_medmnist(path)


def test_a_header_that_promises_more_than_memory_holds_is_refused(file):
    content = arrays()
    path = file({name: array for name, array in content.items() if name != "val_images"})
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (999999999999999, 8, 8), }".ljust(117) + "\n"
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("val_images.npy", b"\x93NUMPY\x01\x00" + bytes([118, 0]) + header.encode())
    with pytest.raises(DataError, match=r"val_images (does not fit into memory|is damaged)"):
        data.read_medmnist(path)


def test_a_member_that_is_no_array_is_refused(file):
    content = arrays()
    path = file({name: array for name, array in content.items() if name != "val_images"})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("val_images", b"hello")
    with pytest.raises(DataError, match="val_images is no array"):
        data.read_medmnist(path)


def test_another_kind_of_file_is_shown_by_its_beginning(tmp_path):
    np.save(tmp_path / "some.npy", np.zeros(3))
    with pytest.raises(DataError, match=r"no \.npz file.*begins with 93 4e 55 4d"):
        data.read_medmnist(tmp_path / "some.npy")


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(DataError, match=r"there is no file .*nowhere\.npz"):
        data.read_medmnist(tmp_path / "nowhere.npz")
    with pytest.raises(DataError, match=rf"{tmp_path.name} cannot be read"):
        data.read_medmnist(tmp_path)
