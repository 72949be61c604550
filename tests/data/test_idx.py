"""IDX files: every element type, plain and compressed, and every way to be broken."""

import gzip
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn.data import read_idx
from minicnn.errors import DataError

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx(array: np.ndarray) -> bytes:
    """Encode an array as the format's description says, axis by axis and number by number."""
    kind = array.dtype.str[1:]
    header = bytes([0, 0, CODES[kind], array.ndim]) + b"".join(struct.pack(">I", n) for n in array.shape)
    letter = {"u1": "B", "i1": "b", "i2": "h", "i4": "i", "f4": "f", "f8": "d"}[kind]
    return header + b"".join(struct.pack(f">{letter}", number) for number in array.reshape(-1).tolist())


IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


@pytest.fixture
def written(tmp_path):
    """Write bytes to a file and return its path."""

    def write(content: bytes, name: str = "some-idx"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize("kind", CODES)
def test_every_element_type_is_read_big_endian_into_the_machines_own_order(written, kind):
    array = np.array([[0, 1, 2], [100, -7 if kind != "u1" else 255, 127]]).astype(kind)
    got = read_idx(written(idx(array)))
    np.testing.assert_array_equal(got, array, strict=True)
    assert got.dtype.isnative


def test_a_file_written_byte_by_byte_reads_as_its_numbers(written):
    content = bytes([0, 0, 0x0B, 2, 0, 0, 0, 1, 0, 0, 0, 3, 0x01, 0x02, 0x00, 0x05, 0xFF, 0xFF])
    assert read_idx(written(content)).tolist() == [[258, 5, -1]]


def test_a_compressed_file_is_told_by_its_content_not_by_its_name(written):
    np.testing.assert_array_equal(read_idx(written(gzip.compress(idx(IMAGES)), "without-suffix")), IMAGES, strict=True)


def test_a_path_may_be_a_string(written):
    np.testing.assert_array_equal(read_idx(str(written(idx(IMAGES)))), IMAGES)


def test_the_array_can_be_written_to(written):
    assert read_idx(written(idx(IMAGES))).flags.writeable


@given(length=st.integers(0, 4 + 3 * 4 + 24 - 1))
def test_a_plain_file_cut_anywhere_is_refused(tmp_path_factory, length):
    path = tmp_path_factory.getbasetemp() / "cut-idx"
    path.write_bytes(idx(IMAGES)[:length])
    with pytest.raises(DataError, match="no IDX file" if length < 4 else "truncated"):
        read_idx(path)


def test_a_compressed_file_cut_anywhere_is_refused(written):
    content = gzip.compress(idx(IMAGES))
    for length in range(2, len(content)):
        with pytest.raises(DataError, match="truncated or damaged"):
            read_idx(written(content[:length]))


def test_a_truncated_file_says_how_many_bytes_there_should_be(written):
    with pytest.raises(DataError, match="2 x 3 x 4 = 24 bytes, there are 20; download it again"):
        read_idx(written(idx(IMAGES)[:-4]))


def test_a_file_that_ends_in_its_header_says_so(written):
    with pytest.raises(DataError, match="ends inside its header"):
        read_idx(written(idx(IMAGES)[:9]))


def test_trailing_bytes_are_refused(written):
    with pytest.raises(DataError, match="longer than it should be"):
        read_idx(written(idx(IMAGES) + b"\0"))


@pytest.mark.parametrize("start", [b"\x89PNG", b"\0\1\x08\1", b"\0\0\x07\1", b"\0\0\x0a\1"])
def test_another_magic_number_is_refused_and_shown(written, start):
    with pytest.raises(DataError, match=f"no IDX file: it begins with the bytes {start.hex(' ')}"):
        read_idx(written(start + bytes(20)))


def test_an_empty_file_is_refused(written):
    with pytest.raises(DataError, match="no IDX file"):
        read_idx(written(b""))


def test_a_damaged_compressed_file_is_refused(written):
    content = bytearray(gzip.compress(idx(IMAGES)))
    content[-6] ^= 0xFF  # in the checksum
    with pytest.raises(DataError, match="damaged"):
        read_idx(written(bytes(content)))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"there is no file .*nowhere"):
        read_idx(tmp_path / "nowhere")


def test_a_folder_is_no_idx_file(tmp_path):
    with pytest.raises(DataError, match=tmp_path.name):
        read_idx(tmp_path)
