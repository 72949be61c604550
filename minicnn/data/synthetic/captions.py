"""A small grammar that says what is where, and words as numbers.

sentence  =  thing  |  thing relation thing  |  thing relation thing "and" thing ("and" thing ...)
thing     =  "a" colour shape
relation  =  "above" | "below" | "left of" | "right of"
"""

import itertools
from collections.abc import Iterable, Sequence

import numpy as np

from minicnn.errors import ArgumentError, DataError, ShapeError, listed, whole_number

PAD, START, END = "<pad>", "<start>", "<end>"
GRAMMAR = (PAD, START, END, "a", "and", "above", "below", "left", "right", "of")
CLEAR = np.tan(np.deg2rad(30))
"""Something is above another if it lies at least 30 degrees above the horizontal: 45 degrees are above and beside."""


def describe(things: Sequence[str], centres: np.ndarray) -> list[str]:
    """Return all right sentences about what is where, each once.

    The first names the things from above to below, and says how the first two lie to each other by the axis along which
    they are farther apart: the sentence to learn. The others begin with any two things, in either order and with each
    relation that holds, and name the rest in any order.

    Parameters
    ----------
    things : sequence of str
        Such as "red circle".
    centres : array (K, 2)
        Where they are, (x, y) in pixels; y goes down.
    """
    things = list(things)
    down = np.argsort(np.asarray(centres)[:, 1], kind="stable")
    orders = [tuple(down), *itertools.permutations(range(len(things)))]
    sentences = []
    for first, *rest in orders:
        named = [f"a {things[k]}" for k in (first, *rest)]
        if not rest:
            sentences.append(named[0])
            continue
        for relation in relations(centres[first], centres[rest[0]]):
            sentences.append(" and ".join([f"{named[0]} {relation} {named[1]}", *named[2:]]))
    return list(dict.fromkeys(sentences))


def relations(a: np.ndarray, b: np.ndarray) -> list[str]:
    """Return how a lies to b, the axis along which they are farther apart first: one or two relations.

    There is none where both are at one place.
    """
    dx, dy = np.subtract(b, a)
    across, along = ("left of" if dx > 0 else "right of"), ("above" if dy > 0 else "below")
    found = [(abs(dx), across)] if abs(dx) > 0 and abs(dx) >= CLEAR * abs(dy) else []
    found += [(abs(dy), along)] if abs(dy) > 0 and abs(dy) >= CLEAR * abs(dx) else []
    return [relation for _, relation in sorted(found, reverse=True)]


def words_of(shapes: Sequence[str], colours: Sequence[str]) -> tuple[str, ...]:
    """Return all words of the grammar, behind the three marks: padding is word 0."""
    return (*GRAMMAR, *colours, *shapes)


def check_names(shapes: Sequence[str], colours: Iterable[str]) -> None:
    """Raise `ArgumentError` for a name that no sentence can hold: of no or several words, of the grammar, or twice."""
    taken = set(GRAMMAR)
    for name in (*colours, *shapes):
        if not isinstance(name, str) or name.split() != [name]:
            raise ArgumentError(f"names of shapes and colours must be one word, not {name!r}")
        if name in taken:
            why = "a word of the grammar" if name in GRAMMAR else "there twice"
            raise ArgumentError(f"{name!r} is {why}: give each shape and each colour a name of its own")
        taken.add(name)


def encode_captions(
    captions: Sequence[str], vocabulary: Sequence[str], *, length: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Turn sentences into numbers: "<start>", the words, "<end>", then padding.

    Parameters
    ----------
    captions : sequence of N str
        Words with spaces between.
    vocabulary : sequence of str
        The words; a word's number is its place. "<pad>" is 0, and "<start>" and "<end>" are in it.
    length : int, optional
        T; by default the longest sentence's.

    Returns
    -------
    words : array (N, T)
        int64.
    lengths : array (N,)
        How many numbers of each row are not padding, int64.

    Raises
    ------
    DataError
        If a word is not in the vocabulary.
    ArgumentError
        If a sentence is longer than `length`, there are none, or the vocabulary lacks a mark.
    """
    number = {word: i for i, word in enumerate(vocabulary)}
    if not len(captions) or isinstance(captions, str):
        raise ArgumentError(f"captions must be a list of at least one sentence, not {captions!r}")
    if number.get(PAD) != 0 or START not in number or END not in number:
        raise ArgumentError(f"the vocabulary must begin with {PAD!r} and hold {START!r} and {END!r}")
    rows = []
    for i, caption in enumerate(captions):
        unknown = [word for word in caption.split() if word not in number]
        if unknown:
            raise DataError(f"caption {i} has words that are not in the vocabulary: {listed(unknown)}")
        rows.append([number[word] for word in (START, *caption.split(), END)])
    lengths = np.array([len(row) for row in rows])
    T = int(lengths.max()) if length is None else whole_number("length", length)
    if lengths.max() > T:
        raise ArgumentError(
            f"caption {lengths.argmax()} has {lengths.max()} words with its two marks, more than length={T}"
        )
    words = np.zeros((len(rows), T), dtype=np.int64)
    for i, row in enumerate(rows):
        words[i, : len(row)] = row
    return words, lengths


def decode_captions(words: np.ndarray, vocabulary: Sequence[str]) -> list[str]:
    """Turn numbers (N, T) into sentences: the words up to "<end>", without marks.

    Raises `ShapeError` unless there are two axes.
    """
    words = np.asarray(words)
    if words.ndim != 2:
        raise ShapeError(f"words have shape {words.shape}, expected (N, T)")
    sentences = []
    for row in words:
        spoken = itertools.takewhile(lambda word: word != END, (vocabulary[i] for i in row))
        sentences.append(" ".join(word for word in spoken if word not in (PAD, START)))
    return sentences
