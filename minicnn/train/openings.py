"""Who opened the sealed test set, across all the processes of a run."""

from collections import Counter

from minicnn.data import ArrayDataset, SealedDataset


class Openings:
    """The openings of a sealed test set that a training knows of.

    Attributes
    ----------
    reasons : list of str
        Why it was opened, each time, also by earlier processes of the run.
    size : int or None
        How many examples it has; None before the first opening.
    """

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.size: int | None = None
        self._inherited: list[str] = []  # by earlier processes of this run, not yet told to a test set

    def inherit(self, reasons: list[str]) -> None:
        """Take over what a checkpoint says; the next test set to be opened is told of it."""
        self._inherited = [reason for reason in reasons if reason not in self.reasons]
        self.reasons = list(reasons)

    def open(self, sealed: SealedDataset, reason: str) -> ArrayDataset:
        """Count an opening before anything is seen, after adding those of an earlier process to the seal."""
        unknown = Counter(self._inherited) - Counter(sealed.seal.openings)  # the seal may know of some
        sealed.seal.openings[:0] = unknown.elements()
        self._inherited = []
        dataset = sealed.open(reason)
        self.reasons = list(sealed.seal.openings)
        self.size = len(dataset)
        return dataset
