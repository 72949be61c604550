"""The fully connected layer's kernel against its plain body, over products that neither tiles nor vectors divide."""

import numpy as np
import pytest
from bodies import agree
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import contiguous, memory_orders, normal

from minicnn import ops
from minicnn.backend import get_num_threads, use_backend

pytest.importorskip("numba", reason="Numba is not installed")

from minicnn.kernels.numba import linear

SIZES = st.sampled_from([1, 3, 7, 8, 9, 16, 17, 40, 70, 129, 200])


@pytest.fixture(autouse=True)
def _no_product_is_too_small(monkeypatch):
    monkeypatch.setattr(linear, "SMALL", 0)
    monkeypatch.setattr(linear, "FEW", 0)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(n=SIZES, d=SIZES, k=SIZES, bias=st.booleans(), order=memory_orders, w_order=memory_orders)
@example(n=1, d=1, k=1, bias=True, order=contiguous, w_order=contiguous)
@example(n=129, d=40, k=9, bias=True, order=contiguous, w_order=contiguous)  # one panel: the rows are divided
@example(n=17, d=200, k=501, bias=True, order=contiguous, w_order=contiguous)  # many: the columns are
@example(n=40, d=501, k=7, bias=False, order=contiguous, w_order=contiguous)
def test_linear(dtype, n, d, k, bias, order, w_order):
    x, w = order(normal(0, n, d, dtype=dtype)), w_order(normal(1, k, d, dtype=dtype))
    b = normal(2, 2 * k, dtype=dtype)[::2] if bias else None
    agree(ops.linear_forward, (x, w, b), {}, dtype)
    agree(ops.linear_backward, (order(normal(3, n, k, dtype=dtype)), x, w), {}, dtype)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("columns", [9, 501])
def test_both_ways_of_dividing_a_product_are_taken(monkeypatch, columns):
    """So the examples above are what they say."""
    calls, run = [], linear._multiply
    monkeypatch.setattr(linear, "_multiply", lambda *args: (calls.append((args[6:8], args[10])), run(*args)))
    with use_backend("numba"):
        ops.linear_forward(normal(0, 129, 40), normal(1, columns, 40), None)
    rows, first_columns = ({call[i] for call in calls} for i in (0, 1))
    if get_num_threads() == 1:
        assert len(calls) == 1
    elif columns == 9:
        assert len(rows) > 1 == len(first_columns)
    else:
        assert len(first_columns) > 1 == len(rows)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_not_a_number_stays_in_its_row(dtype):
    x, w = normal(0, 40, 17, dtype=dtype), normal(1, 70, 17, dtype=dtype)
    x[20, 3] = np.nan
    with use_backend("numba"):
        y = ops.linear_forward(x, w, None)
        dx, dw, _ = ops.linear_backward(np.ones_like(y), x, w)
    assert np.isnan(y).all(axis=1).tolist() == np.isnan(y).any(axis=1).tolist() == [i == 20 for i in range(40)]
    assert not np.isnan(dx).any()
    assert np.isnan(dw).any(axis=0).tolist() == [i == 3 for i in range(17)]
