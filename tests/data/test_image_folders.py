"""Folders of images: what is read, what is left alone, and what a bad file does."""

import warnings

import numpy as np
import pytest
from PIL import Image

from minicnn import data
from minicnn.errors import ArgumentError, DataError, DataWarning


def drawn(seed, *, size=(6, 5), channels=3):
    """Random pixels (h, w, 3), or (h, w) for one channel."""
    shape = (*size, channels) if channels > 1 else size
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.fixture
def pets(tmp_path):
    """Two classes of two images, written in another order than that of their names."""
    for name, seed in (("dogs/b.png", 3), ("cats/2.png", 1), ("dogs/a.PNG", 2), ("cats/1.png", 0)):
        save(tmp_path / name, drawn(seed))
    return tmp_path


def test_images_come_class_by_class_in_the_order_of_their_names(pets):
    dataset = data.read_image_folder(pets)
    assert dataset.classes == ("cats", "dogs")
    assert dataset.y.dtype == np.int64
    assert dataset.y.tolist() == [0, 0, 1, 1]
    expected = np.stack([drawn(seed) for seed in range(4)]).transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(dataset.x, expected, strict=True)


def test_grey_is_the_weighted_mean_of_the_colours(pets):
    x = data.read_image_folder(str(pets), mode="L").x
    expected = drawn(0) @ np.array([0.299, 0.587, 0.114]) / 255
    assert x.shape == (4, 1, 6, 5)
    np.testing.assert_allclose(x[0, 0], expected, atol=0.51 / 255)


def test_a_grey_image_becomes_three_equal_channels(tmp_path):
    save(tmp_path / "one" / "a.png", drawn(0, channels=1))
    x = data.read_image_folder(tmp_path).x
    np.testing.assert_allclose(x[0], np.stack([drawn(0, channels=1) / 255] * 3), rtol=1e-6)


@pytest.mark.parametrize("suffix", ["bmp", "tif", "webp", "ppm", "jpg"])
def test_other_formats_are_read_too(tmp_path, suffix):
    smooth = np.add.outer(np.arange(32), np.arange(32))[..., None].repeat(3, axis=2).astype(np.uint8)
    save(tmp_path / "one" / f"a.{suffix}", smooth)
    tolerance = 6 / 255 if suffix in ("jpg", "webp") else 1e-6
    np.testing.assert_allclose(data.read_image_folder(tmp_path).x[0, 0], smooth[..., 0] / 255, atol=tolerance)


def test_other_files_and_hidden_ones_are_not_looked_at(pets):
    (pets / "readme.txt").write_text("hello")
    (pets / "cats" / "notes.csv").write_text("1,2")
    (pets / "cats" / "._1.png").write_bytes(b"left by a Mac")
    (pets / "cats" / "deeper").mkdir()
    save(pets / ".thumbnails" / "1.png", drawn(7))
    dataset = data.read_image_folder(pets)
    assert (dataset.classes, len(dataset)) == (("cats", "dogs"), 4)


# Depth, colour and orientation


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3)])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_grey_of_16_bits_keeps_its_depth(tmp_path, suffix, mode, channels):
    deep = np.random.default_rng(0).integers(0, 65536, (6, 5)).astype(np.uint16)
    save(tmp_path / "one" / f"a.{suffix}", deep)
    x = data.read_image_folder(tmp_path, mode=mode).x
    assert x.shape == (1, channels, 6, 5)
    np.testing.assert_allclose(x[0], np.stack([deep / 65535] * channels), rtol=1e-6)


def test_16_bits_in_the_other_byte_order(tmp_path):
    deep = np.random.default_rng(0).integers(0, 65536, (6, 5)).astype(">u2")
    save(tmp_path / "one" / "a.tif", deep)
    np.testing.assert_allclose(data.read_image_folder(tmp_path, mode="L").x[0, 0], deep / 65535, rtol=1e-6)


def test_16_bits_are_resized_with_their_depth(tmp_path):
    deep = np.repeat(np.repeat(np.array([[1000, 1001], [1002, 1003]]), 4, axis=0), 4, axis=1).astype(np.uint16)
    save(tmp_path / "one" / "a.png", deep)
    x = data.read_image_folder(tmp_path, mode="L", size=(8, 8)).x[0, 0] * 65535
    np.testing.assert_allclose(x, deep, atol=0.01)
    halved = data.read_image_folder(tmp_path, mode="L", size=(4, 4)).x[0, 0] * 65535
    assert 1000 < halved[1, 1] < 1001 < halved[1, 2] < 1002  # between the grey levels that 8 bits have


def test_a_palette_gives_its_colours_and_alpha_is_left_out(tmp_path):
    colours = drawn(0)
    Image.fromarray(colours).quantize(256).save(save(tmp_path / "one" / "a.png", colours))
    alpha = np.dstack([colours, np.full(colours.shape[:2], 128, np.uint8)])
    save(tmp_path / "one" / "b.png", alpha)
    save(tmp_path / "one" / "c.png", colours, transparency=tuple(int(c) for c in colours[0, 0]))
    x = data.read_image_folder(tmp_path).x
    assert len(x) == 3
    for image in x:
        np.testing.assert_allclose(image, colours.transpose(2, 0, 1) / 255, rtol=1e-6)


def test_a_palette_with_transparent_colours_does_not_warn(tmp_path):
    palette = Image.fromarray(drawn(0)).quantize(16)
    path = save(tmp_path / "one" / "a.png", drawn(0))
    palette.save(path, transparency=bytes(range(16)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = data.read_image_folder(tmp_path).x
    np.testing.assert_allclose(x[0], np.asarray(palette.convert("RGBA"))[..., :3].transpose(2, 0, 1) / 255, rtol=1e-6)


UPRIGHT = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_an_image_is_turned_as_its_exif_data_says(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    save(tmp_path / "one" / "a.png", drawn(0), exif=exif)
    expected = UPRIGHT[orientation](drawn(0)).transpose(2, 0, 1) / 255
    np.testing.assert_allclose(data.read_image_folder(tmp_path).x[0], expected, rtol=1e-6)


# Sizes


def test_images_of_two_sizes_are_refused_with_both_named(pets):
    save(pets / "dogs" / "a.PNG", drawn(0, size=(7, 5)))
    with pytest.raises(DataError, match=r"a\.PNG has 7 x 5 pixels .* but .*1\.png has 6 x 5 .*size=\(h, w\)"):
        data.read_image_folder(pets)


def test_size_resizes_them_as_pillow_does(pets):
    save(pets / "dogs" / "a.PNG", drawn(2, size=(7, 9)))
    x = data.read_image_folder(pets, size=(4, 3)).x
    assert x.shape == (4, 3, 4, 3)
    expected = np.asarray(Image.fromarray(drawn(2, size=(7, 9))).resize((3, 4), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(x[2], expected.transpose(2, 0, 1) / 255, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"size": 28}, r"size must be \(h, w\), in pixels, not 28"),
        ({"size": (28,)}, r"size must be \(h, w\)"),
        ({"size": (0, 28)}, r"size\[0\], the height, must be a whole number of at least 1, not 0"),
        ({"size": (28, 1.5)}, r"size\[1\], the width, must be a whole number of at least 1, not 1\.5"),
        ({"mode": "rgb"}, r"mode must be 'RGB' \(colour\) or 'L' \(grey\), not 'rgb'"),
        ({"on_error": "ignore"}, "on_error must be 'raise' or 'skip', not 'ignore'"),
    ],
)
def test_bad_arguments_are_refused(pets, arguments, words):
    with pytest.raises(ArgumentError, match=words):
        data.read_image_folder(pets, **arguments)


# Folders that hold nothing


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError, match=r"there is no folder .*nowhere"):
        data.read_image_folder(tmp_path / "nowhere")


def test_an_empty_class_is_named(pets):
    (pets / "birds").mkdir()
    (pets / "birds" / "notes.txt").write_text("none yet")
    with pytest.raises(DataError, match=r"class 'birds' is empty: no image lies there \(.png, .jpg"):
        data.read_image_folder(pets)


def test_images_without_folders_of_classes_are_refused(tmp_path):
    save(tmp_path / "1.png", drawn(0))
    with pytest.raises(DataError, match="holds 1 image but no folders; it should hold one folder a class"):
        data.read_image_folder(tmp_path)


# Files that are damaged


def truncated(path):
    save(path, drawn(0, size=(40, 40)))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def truncated_jpeg(path):
    save(path, drawn(0, size=(60, 60)), format="JPEG")
    path.write_bytes(path.read_bytes()[:900])


def damaged(path):
    content = bytearray(save(path, drawn(0)).read_bytes())
    content[40:60] = bytes(20)
    path.write_bytes(content)


BROKEN = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("no image"),
    "truncated": truncated,
    "truncated_jpeg": truncated_jpeg,
    "damaged": damaged,
}


@pytest.mark.parametrize("break_it", BROKEN.values(), ids=BROKEN)
def test_a_broken_image_is_named(pets, break_it):
    break_it(pets / "cats" / "15.png")
    with pytest.raises(DataError, match=r"cats.15\.png is no image that can be read, or damaged"):
        data.read_image_folder(pets)


@pytest.mark.parametrize("break_it", BROKEN.values(), ids=BROKEN)
def test_a_broken_image_can_be_skipped_and_is_named(pets, break_it):
    break_it(pets / "cats" / "15.png")
    with pytest.warns(DataWarning, match=r"skipped: .*15\.png is no image") as told:
        dataset = data.read_image_folder(pets, on_error="skip")
    assert dataset.y.tolist() == [0, 0, 1, 1]
    assert len(told) == 1
    assert told[0].filename == __file__


@pytest.mark.parametrize("length", range(0, 130, 7))
def test_a_small_png_cut_anywhere_is_refused(tmp_path, length):
    content = save(tmp_path / "one" / "a.png", drawn(0)).read_bytes()
    assert len(content) > 130
    (tmp_path / "one" / "a.png").write_bytes(content[:length])
    with pytest.raises(DataError, match="damaged"):
        data.read_image_folder(tmp_path)


def test_a_class_of_which_nothing_is_left_is_an_error(pets):
    for name in ("1.png", "2.png"):
        (pets / "cats" / name).write_bytes(b"gone")
    with (
        pytest.warns(DataWarning, match="skipped"),
        pytest.raises(DataError, match="class 'cats' is empty: no image could be read"),
    ):
        data.read_image_folder(pets, on_error="skip")


@pytest.mark.parametrize("limit", [20, 4])  # Pillow warns above its limit, and refuses above twice that
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # as anybody may have said
def test_a_decompression_bomb_is_refused_unopened(pets, monkeypatch, limit):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(DataError, match=rf"1\.png says that it has more than {limit} pixels: a bomb"):
        data.read_image_folder(pets)


def test_several_images_in_one_file_are_refused(pets):
    frames = [Image.fromarray(drawn(seed)) for seed in range(3)]
    frames[0].save(pets / "cats" / "stack.tif", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match=r"stack\.tif holds 3 images; save each as a file of its own"):
        data.read_image_folder(pets)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_numbers_of_32_bits_have_no_white_and_are_refused(pets, dtype):
    save(pets / "cats" / "deep.tif", np.ones((6, 5), dtype))
    with pytest.raises(DataError, match=r"deep\.tif has pixels of Pillow's mode '[IF]'; save it with 8 or 16 bits"):
        data.read_image_folder(pets)
