"""Images beside their masks: partners, labels and sizes."""

import numpy as np
import pytest
from PIL import Image

from minicnn import data
from minicnn.data.pictures import resized_labels
from minicnn.errors import ArgumentError, DataError

NAMES = ("background", "nucleus", "membrane")


def image_of(seed):
    return np.random.default_rng(seed).integers(0, 256, (6, 4, 3), dtype=np.uint8)


def labels_of(seed):
    return np.random.default_rng(100 + seed).integers(0, 3, (6, 4), dtype=np.uint8)


def palette_image(labels):
    mask = Image.fromarray(labels)
    mask.putpalette([0, 0, 0, 200, 30, 30, 30, 30, 200])
    return mask


@pytest.fixture
def folders(tmp_path):
    """Three pairs: the masks grey, by palette, and in a TIFF."""
    images, masks = tmp_path / "images", tmp_path / "masks"
    images.mkdir()
    masks.mkdir()
    for n, name in enumerate(("a", "b", "c")):
        Image.fromarray(image_of(n)).save(images / f"{name}.png")
    Image.fromarray(labels_of(0)).save(masks / "a.png")
    palette_image(labels_of(1)).save(masks / "b.png")
    Image.fromarray(labels_of(2).astype(np.uint16)).save(masks / "c.tif")
    return images, masks


def test_each_image_gets_the_mask_of_its_name(folders):
    dataset = data.read_image_pairs(*folders, classes=NAMES)
    assert dataset.classes == NAMES
    np.testing.assert_array_equal(dataset.y, np.stack([labels_of(n) for n in range(3)]).astype(np.int64), strict=True)
    expected = np.stack([image_of(n) for n in range(3)]).transpose(0, 3, 1, 2) / 255
    assert dataset.x.dtype == np.float32
    np.testing.assert_allclose(dataset.x, expected, rtol=1e-6)


def test_grey_images_and_a_number_of_classes(folders):
    dataset = data.read_image_pairs(*map(str, folders), classes=3, mode="L")
    assert dataset.x.shape == (3, 1, 6, 4)
    assert dataset.classes == ("0", "1", "2")


def test_a_mask_of_one_bit_has_the_labels_0_and_1(folders):
    images, masks = folders
    Image.fromarray(labels_of(0) > 0).save(masks / "a.png")
    np.testing.assert_array_equal(data.read_image_pairs(images, masks, classes=3).y[0], labels_of(0) > 0)


def test_other_files_are_not_looked_at(folders):
    (folders[1] / "labels.txt").write_text("0 background")
    (folders[0] / ".hidden.png").write_bytes(b"")
    assert len(data.read_image_pairs(*folders, classes=3)) == 3


# Sizes


def test_masks_are_resized_to_labels_that_were_there_and_images_by_bilinear_interpolation(folders):
    images, masks = folders
    dataset = data.read_image_pairs(images, masks, classes=3, size=(3, 8))
    assert dataset.x.shape == (3, 3, 3, 8)
    for row, column in np.ndindex(3, 8):  # the middle of each new pixel, in old ones
        assert dataset.y[1, row, column] == labels_of(1)[int((row + 0.5) * 2), int((column + 0.5) / 2)]
    expected = np.asarray(Image.fromarray(image_of(1)).resize((8, 3), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(dataset.x[1], expected.transpose(2, 0, 1) / 255, rtol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (5, 9), (13, 4), (23, 31)])
def test_the_nearest_label_is_pillows(size):
    labels = np.random.default_rng(0).integers(0, 1000, (13, 9))
    expected = Image.fromarray(labels.astype(np.int32)).resize(size[::-1], Image.Resampling.NEAREST)
    np.testing.assert_array_equal(resized_labels(labels, size), np.asarray(expected))


def test_a_mask_of_another_size_is_refused_also_where_both_are_resized(folders):
    Image.fromarray(labels_of(0)[:5]).save(folders[1] / "a.png")
    with pytest.raises(DataError, match=r"a\.png has 5 x 4 pixels .*, but .*a\.png has 6 x 4 .*a mask must fit"):
        data.read_image_pairs(*folders, classes=3, size=(8, 8))


def test_images_of_different_sizes_need_a_size(folders):
    images, masks = folders
    Image.fromarray(image_of(0)[:5]).save(images / "a.png")
    Image.fromarray(labels_of(0)[:5]).save(masks / "a.png")
    with pytest.raises(DataError, match=r"b\.png has 6 x 4 .*a\.png has 5 x 4 .*size="):
        data.read_image_pairs(images, masks, classes=3)
    assert data.read_image_pairs(images, masks, classes=3, size=(4, 4)).y.shape == (3, 4, 4)


def test_an_image_and_its_mask_are_turned_alike(folders):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(image_of(0)).save(folders[0] / "a.png", exif=exif)
    Image.fromarray(labels_of(0)).save(folders[1] / "a.png", exif=exif)
    for name in ("b", "c"):
        for folder in folders:
            for path in folder.glob(f"{name}.*"):
                path.unlink()
    dataset = data.read_image_pairs(*folders, classes=3)
    np.testing.assert_array_equal(dataset.y[0], np.rot90(labels_of(0), -1))
    np.testing.assert_allclose(dataset.x[0], np.rot90(image_of(0), -1).transpose(2, 0, 1) / 255, rtol=1e-6)


# What is wrong


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize(("orientation", "of_mask"), [(3, 1), (6, 1), (6, 8)])
def test_an_image_that_is_turned_needs_a_mask_that_is(folders, suffix, orientation, of_mask):
    """Also where both are square, so that the sizes do not tell."""
    (folders[0] / "a.png").unlink()
    (folders[1] / "a.png").unlink()
    for folder, pixels, turned in zip(folders, (image_of(0), labels_of(0)), (orientation, of_mask), strict=True):
        exif = Image.Exif()
        exif[0x0112] = turned
        Image.fromarray(pixels[:4, :4].copy()).save(folder / f"a.{suffix}", exif=exif)
    with pytest.raises(
        DataError, match=rf"images.a\.{suffix} is turned by its EXIF data, .*masks.a.* is not turned so"
    ):
        data.read_image_pairs(*folders, classes=3, size=(4, 4))


@pytest.mark.parametrize(
    ("name", "options"), [("a.jpg", {}), ("a.png", {"format": "JPEG"}), ("a.tif", {"compression": "jpeg"})]
)
def test_a_jpeg_is_no_mask(folders, name, options):
    (folders[1] / "a.png").unlink()
    Image.fromarray(labels_of(0)).save(folders[1] / name, **options)
    with pytest.raises(
        DataError, match=r"masks.a\.\w+ is a JPEG, which changes labels at every edge; save masks as PNG"
    ):
        data.read_image_pairs(*folders, classes=3)


@pytest.mark.parametrize("lossless", [False, True])
def test_webp_has_no_grey_images_and_is_no_mask(folders, lossless):
    (folders[1] / "a.png").unlink()
    Image.fromarray(labels_of(0)).save(folders[1] / "a.webp", lossless=lossless)
    with pytest.raises(DataError, match=r"a\.webp has pixels of Pillow's mode 'RGB', but a mask's numbers are labels"):
        data.read_image_pairs(*folders, classes=3)


def test_a_label_out_of_range_is_named_with_file_and_pixel(folders):
    labels = labels_of(1)
    labels[4, 2] = 3
    palette_image(labels).save(folders[1] / "b.png")
    with pytest.raises(
        DataError, match=r"b\.png holds the label 3 at row 4, column 2; 3 classes have labels from 0 to 2$"
    ):
        data.read_image_pairs(*folders, classes=3)


def test_a_mask_of_0_and_255_is_told_what_to_do(folders):
    Image.fromarray(np.where(labels_of(0) > 0, 255, 0).astype(np.uint8)).save(folders[1] / "a.png")
    with pytest.raises(DataError, match=r"holds the label 255 at .*divide a mask of 0 and 255 by 255"):
        data.read_image_pairs(*folders, classes=3)


def test_a_colour_image_is_no_mask(folders):
    Image.fromarray(image_of(0)).save(folders[1] / "a.png")
    with pytest.raises(DataError, match=r"a\.png has pixels of Pillow's mode 'RGB', but a mask's numbers are labels"):
        data.read_image_pairs(*folders, classes=3)


def test_images_without_a_mask_are_named(folders):
    (folders[1] / "b.png").unlink()
    with pytest.raises(DataError, match=r"masks has no mask for 'b\.png' of .*images; names must agree"):
        data.read_image_pairs(*folders, classes=3)


def test_masks_without_an_image_are_named_some_of_them(folders):
    for n in range(5):
        Image.fromarray(labels_of(0)).save(folders[1] / f"x{n}.png")
    with pytest.raises(DataError, match=r"images has no image for 'x0\.png', 'x1\.png', 'x2\.png' and 2 more of"):
        data.read_image_pairs(*folders, classes=3)


def test_two_images_of_one_name_are_refused(folders):
    Image.fromarray(image_of(0)).save(folders[0] / "a.bmp")
    with pytest.raises(DataError, match=r"has a\.bmp and a\.png: which one is 'a'"):
        data.read_image_pairs(*folders, classes=3)


@pytest.mark.parametrize("which", [0, 1])
def test_a_damaged_file_is_named(folders, which):
    path = folders[which] / "a.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match=rf"{folders[which].name}.a\.png is no image that can be read, or damaged"):
        data.read_image_pairs(*folders, classes=3)


def test_empty_and_missing_folders_are_named(folders, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty holds no image"):
        data.read_image_pairs(folders[0], tmp_path / "empty", classes=3)
    with pytest.raises(DataError, match=r"there is no folder .*nowhere"):
        data.read_image_pairs(tmp_path / "nowhere", folders[1], classes=3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"classes": 0}, "classes must be a whole number of at least 1, not 0"),
        ({"classes": "nucleus"}, "classes must be a whole number of at least 1, not 'nucleus'"),
        ({"classes": ()}, "classes is empty"),
        ({"classes": 3, "size": (4, -1)}, r"size\[1\], the width, must be"),
        ({"classes": 3, "mode": "P"}, "mode must be 'RGB'"),
        ({"classes": 3, "mode": ["L"]}, r"mode must be 'RGB' \(colour\) or 'L' \(grey\), not \['L'\]"),
    ],
)
def test_bad_arguments_are_refused(folders, arguments, words):
    with pytest.raises(ArgumentError, match=words):
        data.read_image_pairs(*folders, **arguments)
