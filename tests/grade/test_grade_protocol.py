"""Messages: what goes in comes out, and what a stranger sends is checked before it is believed."""

import json
import socket
import struct
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minicnn.backend import Key
from minicnn.grade.protocol import DTYPES, ProtocolError, receive, send

ARRAYS = hnp.arrays(
    st.sampled_from(sorted(DTYPES)).map(np.dtype), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3)
)
PLAIN = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20)
VALUES = st.recursive(
    PLAIN | ARRAYS | st.builds(Key, st.integers(0, 2**64 - 1), st.integers(0, 9), st.integers(0, 2**64 - 1)),
    lambda inner: (
        st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@given(VALUES)
def test_what_goes_in_comes_out(value):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send(ours, value)
        assert_same(receive(theirs, largest=2**20), value)


def assert_same(got, value):
    assert type(got) is type(value)
    if isinstance(value, np.ndarray):
        assert (got.dtype, got.shape) == (value.dtype, value.shape)
        np.testing.assert_array_equal(got, value)
        assert got.flags.writeable
    elif isinstance(value, list | tuple):
        assert len(got) == len(value)
        for one, other in zip(got, value, strict=True):
            assert_same(one, other)
    elif isinstance(value, dict):
        assert list(got) == list(value)
        for name in value:
            assert_same(got[name], value[name])
    else:
        assert got == value or (got != got and value != value)


def test_an_array_that_lies_otherwise_in_memory_comes_out_the_same(pair):
    x = np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1)[::2]
    send(pair[0], {"x": x, "big": x.astype(">f8"), "zero": np.array(3.0), "number": np.float32(2)})
    got = receive(pair[1], largest=2**20)
    np.testing.assert_array_equal(got["x"], x)
    np.testing.assert_array_equal(got["big"], x)
    assert got["zero"].shape == ()
    assert type(got["number"]) is np.float32


@pytest.mark.parametrize("value", [object(), np.array([object()]), np.array(["a"]), {1, 2}, b"bytes", 1 + 2j, len])
def test_what_no_message_can_hold_is_refused_before_anything_is_sent(value, pair):
    with pytest.raises(TypeError, match="neither a number nor an array of numbers"):
        send(pair[0], {"result": value})
    send(pair[0], "next")
    assert receive(pair[1], largest=100) == "next"


@pytest.mark.parametrize(
    "text",
    [
        b"no JSON",
        b"\xff",
        b"[1, 2]",
        b"{}",
        b'{"list": [], "tuple": []}',
        b'{"unknown": 1}',
        b'{"list": 5}',
        b'{"dict": [[1]]}',
        b'{"key": ["a"]}',
        b'{"key": [1]}',
        b'{"array": ["float64", [1000000000000]]}',
        b'{"array": ["float64", [1000000000000, 1000000000000]]}',
        b'{"array": ["float64", [2]]}',
        b'{"array": ["float64", [-1]]}',
        b'{"array": ["float64", [1.5]]}',
        b'{"array": ["float64", [true]]}',
        b'{"array": ["float64", [18446744073709551616, 0]]}',
        b'{"array": ["float64", "ab"]}',
        b'{"array": ["float64", 3]}',
        b'{"array": ["object", [1]]}',
        b'{"array": ["O8", [1]]}',
        b'{"array": ["float64"]}',
        b'{"array": ["float64", ' + json.dumps([0] * 33).encode() + b"]}",
        b'{"number": ["float64", [2]]}',
        b"[" * 100_000,
        b'{"list": [' * 50_000 + b"]}" * 50_000,
        b"1" * 5000,
    ],
)
def test_a_message_that_makes_no_sense_is_a_protocol_error(text, pair):
    thread = threading.Thread(target=pair[0].sendall, args=(struct.pack(">IQ", len(text), 8) + text + bytes(8),))
    thread.start()
    with pytest.raises(ProtocolError):
        receive(pair[1], largest=2**20)
    thread.join()


@pytest.mark.parametrize("sizes", [(2**31, 0), (10, 2**63), (10, 2**20 + 1)])
def test_a_message_that_is_too_large_is_refused_before_there_is_room_for_it(sizes, pair):
    pair[0].sendall(struct.pack(">IQ", *sizes))
    with pytest.raises(ProtocolError, match="too large"):
        receive(pair[1], largest=2**20)


def test_a_message_that_comes_drop_by_drop_is_not_waited_for_beyond_the_deadline(pair):
    def drip():
        try:
            for _ in range(100):
                pair[0].sendall(b"\0")
                time.sleep(0.05)
        except OSError:
            pass

    thread = threading.Thread(target=drip)
    thread.start()
    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        receive(pair[1], largest=2**20, deadline=time.monotonic() + 0.3)
    assert time.monotonic() - begun < 2
    pair[1].close()
    thread.join()


def test_the_end_of_the_other_side_is_seen(pair):
    pair[0].sendall(b"\0\0")
    pair[0].close()
    with pytest.raises(EOFError):
        receive(pair[1], largest=2**20)
