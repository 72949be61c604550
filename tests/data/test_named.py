"""Data sets by name: digits, and MNIST from files."""

import gzip
import os
import re
import struct

import numpy as np
import pytest

from minicnn import data
from minicnn.data import named
from minicnn.data.medmnist import CLASSES
from minicnn.data.sources import CIFAR10, FASHION_MNIST, MEDMNIST, MNIST
from minicnn.errors import DataError


def keys(part):
    """Name each example by its content."""
    return [x.tobytes() for x in part.x]


def parts(splits):
    return splits.train, splits.validation, splits.test.open("to look at it in a test")


class TestDigits:
    def test_there_are_1797_images_of_one_channel_and_ten_classes(self):
        whole = parts(data.load("digits"))
        assert sum(map(len, whole)) == 1797
        assert all(part.x.shape[1:] == (1, 8, 8) for part in whole)
        assert all(set(part.y.tolist()) == set(range(10)) for part in whole)
        assert data.load("digits").classes == tuple("0123456789")

    def test_it_is_scikit_learns_images_and_labels_in_another_order(self):
        from sklearn.datasets import load_digits

        bunch = load_digits()
        expected = sorted(
            (image.astype(int).tolist(), label) for image, label in zip(bunch.images, bunch.target, strict=True)
        )
        whole = parts(data.load("digits"))
        got = [((x[0] * 16).astype(int).tolist(), y) for part in whole for x, y in zip(part.x, part.y, strict=True)]
        assert sorted(got) == expected

    def test_its_17_grey_levels_lie_between_0_and_1(self):
        levels = np.unique(np.concatenate([part.x.ravel() for part in parts(data.load("digits"))]))
        np.testing.assert_array_equal(levels, np.arange(17) / 16)

    def test_it_is_split_70_15_15(self):
        splits = data.load("digits")
        assert (len(splits.train), len(splits.validation), len(splits.test)) == (1257, 270, 270)

    def test_each_part_has_the_same_share_of_every_class(self):
        whole = parts(data.load("digits"))
        shares = [np.bincount(part.y) / len(part) for part in whole]
        assert abs(shares[0] - shares[1]).max() < 0.005
        assert abs(shares[0] - shares[2]).max() < 0.005

    def test_the_same_seed_gives_the_same_split(self):
        for one, other in zip(parts(data.load("digits", seed=5)), parts(data.load("digits", seed=5)), strict=True):
            np.testing.assert_array_equal(one.x, other.x)
            np.testing.assert_array_equal(one.y, other.y)

    def test_another_seed_gives_another_split(self):
        one, other = parts(data.load("digits", seed=1)), parts(data.load("digits", seed=2))
        assert all(set(keys(a)) != set(keys(b)) for a, b in zip(one, other, strict=True))


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(DataError, match="no data set 'cifar'; the data sets are 'digits', 'mnist'"):
        data.load("cifar")


def test_a_list_of_names_is_no_name():
    with pytest.raises(DataError, match=r"no data set \['mnist'\]; the data sets are"):
        data.load(["mnist"])


IMAGES, LABELS = "images-idx3-ubyte", "labels-idx1-ubyte"


def images_of(count, seed=0):
    """Different images: each carries its number in its first two pixels."""
    images = np.random.default_rng(seed).integers(0, 256, (count, 28, 28), dtype=np.uint8)
    images[:, 0, 0], images[:, 0, 1] = np.divmod(np.arange(count), 256)
    return images


def labels_of(count):
    return (np.arange(count) % 10).astype(np.uint8)


def write(folder, name, array, *, code=0x08, zipped=True):
    folder.mkdir(parents=True, exist_ok=True)
    content = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape) + array.tobytes()
    path = folder / (f"{name}.gz" if zipped else name)
    path.write_bytes(gzip.compress(content, 1) if zipped else content)


@pytest.fixture
def t10k(tmp_path):
    """A folder with 200 examples for MNIST's 10,000."""
    write(tmp_path, f"t10k-{IMAGES}", images_of(200))
    write(tmp_path, f"t10k-{LABELS}", labels_of(200))
    return tmp_path


@pytest.fixture
def no_folder(tmp_path, monkeypatch):
    """Nobody says where data lies, and nothing was downloaded: the user's cache, returned, is empty."""
    monkeypatch.delenv("MINICNN_DATA", raising=False)
    monkeypatch.setattr(named, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


class TestMnist:
    def test_the_t10k_files_alone_are_split_80_10_10(self, t10k):
        splits = data.load("mnist", root=t10k)
        assert [len(part) for part in parts(splits)] == [160, 20, 20]
        assert sorted(key for part in parts(splits) for key in keys(part)) == sorted(
            (image.astype(np.float32) / 255).tobytes() for image in images_of(200)
        )

    def test_each_image_keeps_its_label(self, t10k):
        for part in parts(data.load("mnist", root=t10k)):
            number = part.x[:, 0, 0, :2] * 255 @ np.array([256, 1], dtype=np.float32)
            np.testing.assert_array_equal(np.round(number).astype(int) % 10, part.y)

    def test_pixels_are_scaled_to_0_to_1(self, t10k):
        train = data.load("mnist", root=t10k).train
        assert (train.x.dtype, train.x.min(), train.x.max()) == (np.float32, 0, 1)

    def test_with_the_train_files_the_test_set_is_exactly_t10k(self, t10k):
        write(t10k, f"train-{IMAGES}", images_of(300, seed=1))
        write(t10k, f"train-{LABELS}", labels_of(300))
        splits = data.load("mnist", root=t10k)
        train, validation, test = parts(splits)
        assert (len(train), len(validation)) == (270, 30)
        np.testing.assert_array_equal(test.x[:, 0], images_of(200).astype(np.float32) / 255)
        np.testing.assert_array_equal(test.y, labels_of(200))

    @pytest.mark.parametrize("lacking", [IMAGES, LABELS])
    def test_one_train_file_without_the_other_is_not_passed_over(self, t10k, lacking):
        write(t10k, f"train-{IMAGES}", images_of(300, seed=1))
        write(t10k, f"train-{LABELS}", labels_of(300))
        (t10k / f"train-{lacking}.gz").unlink()
        with pytest.raises(DataError, match=f"lacks train-{lacking}"):
            data.load("mnist", root=t10k)

    def test_plain_files_serve_as_well(self, tmp_path):
        write(tmp_path, f"t10k-{IMAGES}", images_of(200), zipped=False)
        write(tmp_path, f"t10k-{LABELS}", labels_of(200), zipped=False)
        assert len(data.load("mnist", root=tmp_path).train) == 160

    def test_the_root_may_hold_a_folder_mnist(self, tmp_path):
        write(tmp_path / "mnist", f"t10k-{IMAGES}", images_of(200))
        write(tmp_path / "mnist", f"t10k-{LABELS}", labels_of(200))
        assert len(data.load("mnist", root=str(tmp_path)).train) == 160

    def test_the_root_may_come_from_the_environment(self, t10k, monkeypatch):
        monkeypatch.setenv("MINICNN_DATA", str(t10k))
        assert len(data.load("mnist").train) == 160

    def test_the_argument_goes_before_the_environment(self, t10k, tmp_path, monkeypatch):
        monkeypatch.setenv("MINICNN_DATA", str(tmp_path / "elsewhere"))
        assert len(data.load("mnist", root=t10k).train) == 160

    def test_without_a_root_it_says_how_to_give_one(self, no_folder):
        with pytest.raises(DataError, match=r"root=.*--data-root.*MINICNN_DATA"):
            data.load("mnist")

    def test_a_root_without_the_files_says_which_and_where(self, tmp_path):
        with pytest.raises(DataError, match=rf"neither in .*{tmp_path.name} nor in .*mnist.*t10k-images-idx3-ubyte"):
            data.load("mnist", root=tmp_path)

    def test_missing_labels_are_named(self, t10k):
        (t10k / f"t10k-{LABELS}.gz").unlink()
        with pytest.raises(DataError, match="lacks t10k-labels-idx1-ubyte"):
            data.load("mnist", root=t10k)

    def test_swapped_files_are_noticed(self, tmp_path):
        write(tmp_path, f"t10k-{IMAGES}", labels_of(200))
        write(tmp_path, f"t10k-{LABELS}", images_of(200))
        with pytest.raises(DataError, match="not images; are the files swapped"):
            data.load("mnist", root=tmp_path)

    def test_images_in_the_place_of_labels_are_noticed(self, t10k):
        write(t10k, f"t10k-{LABELS}", images_of(200))
        with pytest.raises(DataError, match="not labels; are the files swapped"):
            data.load("mnist", root=t10k)

    def test_other_counts_are_refused(self, t10k):
        write(t10k, f"t10k-{LABELS}", labels_of(199))
        with pytest.raises(DataError, match=r"200 images, but .* 199 labels"):
            data.load("mnist", root=t10k)

    @pytest.mark.parametrize(("code", "label"), [(0x08, 10), (0x09, -1)])
    def test_a_label_that_is_no_digit_is_refused(self, t10k, code, label):
        labels = labels_of(200).astype(np.int8)
        labels[7] = label
        write(t10k, f"t10k-{LABELS}", labels, code=code)
        with pytest.raises(DataError, match=f"label {label}; its ten classes have labels from 0 to 9"):
            data.load("mnist", root=t10k)

    def test_no_images_at_all_are_refused(self, tmp_path):
        write(tmp_path, f"t10k-{IMAGES}", images_of(0))
        write(tmp_path, f"t10k-{LABELS}", labels_of(0))
        with pytest.raises(DataError, match="empty"):
            data.load("mnist", root=tmp_path)

    @pytest.mark.skipif("MINICNN_DATA" not in os.environ, reason="MINICNN_DATA names no folder with MNIST's files")
    def test_the_real_10000_images_are_split_8000_1000_1000(self):
        splits = data.load("mnist")
        whole = parts(splits)
        assert [len(part) for part in whole] == [8000, 1000, 1000]
        # The first ten classes' counts in t10k are published with the data set.
        counts = np.bincount(np.concatenate([part.y for part in whole]))
        assert counts.tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
        assert len({key for part in whole for key in keys(part)}) == 10000


class TestFashionMnist:
    @pytest.fixture
    def root(self, tmp_path):
        """A folder with clothes in a folder of their own, and digits in files of the same names beside it."""
        for folder, seed in ((tmp_path / "fashion_mnist", 3), (tmp_path, 4)):
            write(folder, f"t10k-{IMAGES}", images_of(200, seed=seed))
            write(folder, f"t10k-{LABELS}", labels_of(200))
        return tmp_path

    def test_it_is_read_as_mnist_is_with_the_names_of_clothes(self, root):
        splits = data.load("fashion_mnist", root=root)
        assert (splits.name, splits.classes[0], splits.classes[9]) == ("fashion_mnist", "T-shirt/top", "ankle boot")
        got = {image for part in parts(splits) for image in keys(part)}
        assert got == {(image.astype(np.float32) / 255).tobytes() for image in images_of(200, seed=3)}

    def test_digits_of_a_common_folder_are_not_taken_for_clothes(self, root, monkeypatch):
        monkeypatch.setenv("MINICNN_DATA", str(root))
        for path in (root / "fashion_mnist").iterdir():
            path.unlink()
        assert len(data.load("mnist").train) == 160
        with pytest.raises(DataError, match=r"fashion_mnist is not in .*fashion_mnist\. Load it with download=True"):
            data.load("fashion_mnist")

    def test_digits_of_a_root_are_not_taken_for_clothes_either(self, root):
        for path in (root / "fashion_mnist").iterdir():
            path.unlink()
        with pytest.raises(DataError, match=r"fashion_mnist is not in .*fashion_mnist\. Load it with download=True"):
            data.load("fashion_mnist", root=root)

    def test_a_download_leaves_the_roots_digits_alone(self, root, monkeypatch):
        for path in (root / "fashion_mnist").iterdir():
            path.unlink()
        asked = []
        monkeypatch.setattr(named, "fetch", lambda file, folder: asked.append((folder, file.name)))
        with pytest.raises(DataError, match=r"fashion_mnist lacks t10k-images"):  # nothing came
            data.load("fashion_mnist", root=root, download=True)
        assert asked == [(root / "fashion_mnist", file.name) for file in FASHION_MNIST]

    @pytest.mark.parametrize("name", ["fashion_mnist", "Fashion-MNIST"])
    def test_a_folder_whose_name_says_that_it_holds_clothes_may_be_the_root(self, root, name, monkeypatch):
        (root / "fashion_mnist").rename(root / name)
        assert len(data.load("fashion_mnist", root=root / name).train) == 160
        monkeypatch.chdir(root / name)
        assert len(data.load("fashion_mnist", root=".").train) == 160


def test_what_was_downloaded_to_the_cache_is_found_without_a_root(no_folder):
    write(no_folder / "mnist", f"t10k-{IMAGES}", images_of(200))
    write(no_folder / "mnist", f"t10k-{LABELS}", labels_of(200))
    assert len(data.load("mnist").train) == 160


def test_a_missing_file_is_told_with_its_name_its_place_its_address_and_its_hash(tmp_path):
    with pytest.raises(
        DataError,
        match=rf"put into .*{tmp_path.name}/bloodmnist: bloodmnist\.npz from https://zenodo\.org/.*/bloodmnist\.npz "
        r"\(md5 7053d0359d879ad8a5505303e11de1dc\)",
    ):
        data.load("bloodmnist", root=tmp_path)


def test_every_2d_set_of_medmnist_has_a_name_with_classes_and_addresses():
    assert set(CLASSES) == set(MEDMNIST) < set(data.DATASETS)
    for name, file in MEDMNIST.items():
        assert file.name == f"{name}.npz"
        assert all(re.fullmatch(rf"https://zenodo\.org/records/\d+/files/{name}\.npz", url) for url in file.urls)


def test_every_hash_is_an_md5_and_belongs_to_one_file():
    hashes = [file.md5 for file in (*MNIST, *FASHION_MNIST, *CIFAR10, *MEDMNIST.values())]
    assert all(re.fullmatch("[0-9a-f]{32}", md5) for md5 in hashes)
    assert len(set(hashes)) == len(hashes) == 4 + 4 + 1 + 12
