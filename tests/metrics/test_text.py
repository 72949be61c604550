"""BLEU: the examples of Papineni et al. (2002), and a program that counts without counters."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn.errors import ArgumentError, DataError, ShapeError
from minicnn.metrics import bleu_score, exact_match

GUIDE = (  # section 2.1, example 1
    "it is a guide to action which ensures that the military always obeys the commands of the party",
    "it is to insure the troops forever hearing the activity guidebook that party direct",
)
GUIDE_REFERENCES = [
    "it is a guide to action that ensures that the military will forever heed party commands",
    "it is the guiding principle which guarantees the military forces always being under the command of the party",
    "it is the practical guide for the army always to heed the directions of the party",
]
THE_CAT = ["the cat is on the mat", "there is a cat on the mat"]  # example 2


class TestThePaper:
    @pytest.mark.parametrize(("candidate", "unigrams", "bigrams"), [(0, 17 / 18, 10 / 17), (1, 8 / 14, 1 / 13)])
    def test_example_1(self, candidate, unigrams, bigrams):
        said = [GUIDE[candidate]]
        shorter = math.exp(1 - 16 / 14) if candidate else 1  # the nearest reference has 18 words, or 16
        assert bleu_score(said, [GUIDE_REFERENCES], max_n=1) == pytest.approx(shorter * unigrams)
        assert bleu_score(said, [GUIDE_REFERENCES], max_n=2) == pytest.approx(shorter * math.sqrt(unigrams * bigrams))

    def test_example_2_counts_are_clipped(self):
        assert bleu_score(["the " * 7], [THE_CAT], max_n=1) == pytest.approx(2 / 7)
        assert bleu_score(["the " * 7], [THE_CAT], max_n=2) == 0

    def test_example_3_short_candidates_are_punished(self):
        """ "of the" has precisions of 1, and 16 words are missing: section 2.2.1."""
        assert bleu_score(["of the"], [GUIDE_REFERENCES], max_n=2) == pytest.approx(math.exp(1 - 16 / 2))

    def test_the_nearest_length_is_taken(self):
        """Section 2.2.2: references of 12, 15 and 17 words and a candidate of 12 need no punishment."""
        references = ["a " * n for n in (12, 15, 17)]
        assert bleu_score(["a " * 12], [references]) == 1
        assert bleu_score(["a " * 14], [references]) == pytest.approx(math.exp(1 - 15 / 14))
        assert bleu_score(["a " * 16], [references]) == 1  # of 15 and 17 the shorter


def naive_bleu(candidates, references, N):
    c = sum(map(len, candidates))
    r = 0
    for said, several in zip(candidates, references, strict=True):
        lengths = sorted(map(len, several))
        r += min(lengths, key=lambda length: abs(length - len(said)))
    product = 1.0
    for n in range(1, N + 1):
        right = total = 0
        for said, several in zip(candidates, references, strict=True):
            grams = [said[i : i + n] for i in range(len(said) - n + 1)]
            total += len(grams)
            for gram in set(grams):
                most = max(sum(other[i : i + n] == gram for i in range(len(other))) for other in several)
                right += min(grams.count(gram), most)
        if not right:
            return 0.0
        product *= (right / total) ** (1 / N)
    return product * min(1.0, math.exp(1 - r / c))


SENTENCES = st.text("abc", min_size=1, max_size=9)


@given(
    st.lists(st.tuples(SENTENCES, st.lists(SENTENCES, min_size=1, max_size=3)), min_size=1, max_size=4),
    st.integers(1, 4),
)
def test_it_is_that_of_the_plain_program(corpus, N):
    candidates, references = [said for said, _ in corpus], [several for _, several in corpus]
    got = bleu_score([list(said) for said in candidates], [[*map(list, several)] for several in references], max_n=N)
    assert got == pytest.approx(naive_bleu(candidates, references, N))


def test_perfect_sentences_in_words_and_in_numbers():
    assert bleu_score(GUIDE, [[sentence] for sentence in GUIDE]) == 1
    assert bleu_score([(1, 2, 3, 4, 5)], [[[9, 9], [1, 2, 3, 4, 5]]]) == 1


def test_smoothing_adds_one_to_runs_of_several_words():
    assert bleu_score(["the cat"], [THE_CAT]) == 0
    want = math.exp(1 - 6 / 2) * (2 / 2 * (1 + 1) / (1 + 1) * (0 + 1) / (0 + 1) * (0 + 1) / (0 + 1)) ** 0.25
    assert bleu_score(["the cat"], [THE_CAT], smoothing="add-one") == pytest.approx(want)
    got = bleu_score(["the mat sat"], [THE_CAT], max_n=2, smoothing="add-one")
    assert got == pytest.approx(math.exp(1 - 6 / 3) * math.sqrt(2 / 3 * (1 + 1) / (2 + 1)))
    assert bleu_score(["dog"], [THE_CAT], smoothing="add-one") == 0  # not to single words


def test_nothing_said_scores_nothing():
    assert bleu_score([""], [THE_CAT]) == 0


def test_exact_match():
    assert exact_match(["a b", "a  c", "b"], [["x", "a b"], ["a c"], ["a b"]]) == pytest.approx(2 / 3)
    assert exact_match([(1, 2)], [[[1, 2]]]) == 1
    assert exact_match(["a"], [["A"]]) == 0


BAD = {
    "count": ((["a"], []), {}, ShapeError, "1 candidates and 0 lists"),
    "one candidate": (("a", [["a"]]), {}, ShapeError, "candidates is one str"),
    "one reference": ((["a"], ["a"]), {}, ShapeError, r"references\[0\] is one str, expected .*: \['a'\]"),
    "no reference": ((["a"], [[]]), {}, DataError, r"references\[0\] is empty"),
    "nothing": (([], []), {}, DataError, "no sentences"),
    "smoothing": ((["a"], [["a"]]), {"smoothing": "add-two"}, ArgumentError, "None or 'add-one'"),
    "max_n": ((["a"], [["a"]]), {"max_n": 0}, ArgumentError, "max_n"),
}


@pytest.mark.parametrize(("arguments", "options", "error", "match"), BAD.values(), ids=BAD.keys())
def test_bad_inputs_are_refused(arguments, options, error, match):
    with pytest.raises(error, match=match):
        bleu_score(*arguments, **options)
    if not options:
        with pytest.raises(error, match=match):
            exact_match(*arguments)


@pytest.mark.parametrize("measure", [bleu_score, exact_match])
@pytest.mark.parametrize("words", [["a", "red", "circle"], [1, 2, 3]])
def test_one_bracket_too_few_is_told(measure, words):
    with pytest.raises(ShapeError, match="holds words, expected a list of right sentences"):
        measure([words], [words])
