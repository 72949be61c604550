"""The kinds of mistakes, from the most specific to the least, and where to look when one is found."""

import enum


class Kind(enum.StrEnum):
    """What kind of mistake it is. Members are strings: `finding.kind == "not-summed"`.

    They are listed in the order in which a report names them: what stops everything else first, then the kinds that
    say what to do, then those that only say what is seen.
    """

    RAISES = "raises"
    TOO_SLOW = "too-slow"
    NON_FINITE = "non-finite"
    NONDETERMINISTIC = "nondeterministic"
    ZERO = "zero"
    SIGN = "sign"
    NOT_ACCUMULATED = "not-accumulated"
    MASK = "mask"
    MISSING_TERM = "missing-term"
    PARTIAL_BATCH = "partial-batch"
    NOT_SUMMED = "not-summed"
    SCALE = "scale"
    TRANSPOSED = "transposed"
    FLIPPED = "flipped"
    SHIFTED = "shifted"
    WRONG_CACHE = "wrong-cache"
    IGNORES_ARGUMENT = "ignores-argument"
    SHAPE = "shape"
    MUTATES_INPUT = "mutates-input"
    DTYPE = "dtype"
    FORWARD_DIFFERS = "forward-differs"
    TIES = "ties"
    UNKNOWN = "unknown"

    @property
    def rank(self) -> int:
        """The place in the order of reports: the lower, the more specific."""
        return list(Kind).index(self)

    @property
    def hint(self) -> str:
        """Where to look, without the solution."""
        return _HINTS[self]


_HINTS = {
    Kind.RAISES: "Read the last line of the error first: it names your line. Print the shapes above it.",
    Kind.TOO_SLOW: "Is there a loop that never ends, or one over numbers where one over arrays would do?",
    Kind.NONDETERMINISTIC: "What in your function is not decided by its arguments? Randomness must come from the key.",
    Kind.ZERO: "Is the array that you fill also the one that you return?",
    Kind.SIGN: "Follow the minus signs through your derivation: in which line does one get lost, or come in twice?",
    Kind.NOT_ACCUMULATED: "Which places receive several contributions? What does your line do with the earlier ones?",
    Kind.MASK: "Which numbers got through in the forward pass? Only they have an influence on the loss.",
    Kind.MISSING_TERM: "Draw all the ways from this input to the output. Each of them contributes to the gradient.",
    Kind.PARTIAL_BATCH: "Try a batch of one, then one of two. Which image does your loop forget?",
    Kind.NOT_SUMMED: "Where is this number used in the forward pass? The gradient is the sum over all those uses.",
    Kind.SCALE: "What do you divide or multiply by, and is it done once, twice or never?",
    Kind.TRANSPOSED: "Write the meaning of each axis next to every reshape and transpose: does the order still hold?",
    Kind.FLIPPED: "Write down the indices of one product in the forward pass. Which kernel entry meets which pixel?",
    Kind.SHIFTED: "Compute by hand where the first window begins: off by how many, and to which side?",
    Kind.WRONG_CACHE: "Which call, and which sample, do the remembered numbers come from at the moment you use them?",
    Kind.IGNORES_ARGUMENT: "Search your function for this name: in which lines should it appear?",
    Kind.NON_FINITE: "Which intermediate result can overflow, or become 0 / 0? What could be subtracted first?",
    Kind.SHAPE: "Print the shape after each line, for a small example whose axes all have different lengths.",
    Kind.MUTATES_INPUT: "Which line writes into an argument? A slice of an array is no copy, and x += 1 makes none.",
    Kind.DTYPE: "Which arrays do you make yourself? np.zeros(...) makes float64 unless it is told otherwise.",
    Kind.FORWARD_DIFFERS: "Compute one output by hand, on paper, and compare it with yours.",
    Kind.TIES: "Choose random numbers, so that no two of them are equal and none lies on a kink.",
    Kind.UNKNOWN: "Make the example smaller until you can compute the wrong entry by hand.",
}
