"""Batches: a data set in pieces, shuffled, prepared while the network is busy with the piece before."""

import contextvars
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minicnn.backend import (
    Array,
    CounterRng,
    Key,
    Upload,
    default_rng,
    get_backend,
    on_gpu,
    to_backend,
    usable_backend,
)
from minicnn.data.augment.base import check_result, checked_augment
from minicnn.data.dataset import as_dataset
from minicnn.errors import ArgumentError, whole_number
from minicnn.ops import random_permutation


class DataLoader:
    """Iterate over batches (x, y) of a data set; each `for` loop is one epoch.

    Parameters
    ----------
    dataset : ArrayDataset or (x, y)
        Where the examples come from.
    batch_size : int
        Examples a batch.
    shuffle : bool
        Take them in a new random order in every epoch. The order is a pure function of the rng's seed, stream and step,
        and the step counts the epochs.
    drop_last : bool
        Leave out a last batch that is not full.
    rng : CounterRng, optional
        Names the orders, and what augmentation draws; by default, where it does either, a stream of its own under
        `mc.seed`.
    ahead : int
        How many batches a background thread prepares in advance; 0 prepares each when it is asked for.
    backend : str, optional
        Where the batches are put; by default the backend in use when the loop begins.
    augment : Augmentation, optional
        Changes each batch at random, on the host and ahead of time: a function (x, y, key=...) -> x, y, such as those
        of `data.augment`. Batch i (from 0) of the epoch whose order has the key (seed, stream, step) is changed under
        the key (seed, stream, step + (i + 1) 2^32), so a run that is gone on with repeats to the bit.

    Raises
    ------
    ArgumentError
        If batch_size is below 1, if dropping the last batch leaves none, or if augment cannot be called.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 32,
        *,
        shuffle: bool = False,
        drop_last: bool = False,
        rng: CounterRng | None = None,
        ahead: int = 2,
        backend: str | None = None,
        augment: Callable[..., tuple[np.ndarray, np.ndarray]] | None = None,
    ) -> None:
        self.dataset = as_dataset(dataset)
        self.batch_size = whole_number("batch_size", batch_size)
        if drop_last and len(self.dataset) < batch_size:
            raise ArgumentError(
                f"{len(self.dataset)} examples make no full batch of {batch_size}, and the last is dropped"
            )
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.augment = None if augment is None else checked_augment(augment)
        self.rng = rng if rng is not None or not (shuffle or augment) else default_rng()
        self.ahead = ahead
        self.backend = backend
        self._upload: Upload | None = None

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + (1 if rest and not self.drop_last else 0)

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        count = len(self.dataset)
        key = self.rng.next_key() if self.rng is not None and (self.shuffle or self.augment is not None) else None
        order = random_permutation(key, count) if self.shuffle and key else np.arange(count)
        batches, backend = self._batches(order, key), self.backend or get_backend()
        if self.ahead > 0 and on_gpu(backend):
            usable_backend(backend)  # or say what is missing
            upload = self._upload = self._upload or Upload()
            return upload.taken(prepared_ahead(map(upload.send, batches), self.ahead))
        placed = ((to_backend(x, backend), to_backend(y, backend)) for x, y in batches)
        return prepared_ahead(placed, self.ahead) if self.ahead > 0 else placed

    def _batches(self, order: np.ndarray, key: Key | None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for i in range(len(self)):
            x, y = self.dataset[order[i * self.batch_size : (i + 1) * self.batch_size]]
            if self.augment is not None and key is not None:
                result = self.augment(x, y, key=key._replace(step=key.step + ((i + 1) << 32)))
                check_result(self.augment, x, result)
                x, y = result
            yield x, y


def prepared_ahead(items: Iterator, depth: int) -> Iterator:
    """Yield the same items, while a background thread computes up to `depth` of them in advance.

    An error in the thread is raised here, in its turn. A loop that ends early stops the thread.
    """
    ready: queue.Queue = queue.Queue(maxsize=depth)
    stopped = threading.Event()
    end = object()

    def offer(item: object) -> None:
        while not stopped.is_set():
            try:
                return ready.put(item, timeout=0.05)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                offer((item, None))
                if stopped.is_set():
                    return
            offer((end, None))
        except BaseException as error:
            offer((end, error))

    thread = threading.Thread(target=contextvars.copy_context().run, args=(work,), daemon=True, name="minicnn-loader")
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is end:
                return
            yield item
    finally:
        stopped.set()
        thread.join()
