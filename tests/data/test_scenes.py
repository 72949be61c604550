"""Scenes of shapes: boxes, areas and sentences recomputed another way, and each effect when it is the only one on."""

import itertools
import re

import numpy as np
import pytest

from minicnn.data.synthetic import decode_captions, encode_captions, shape_scenes
from minicnn.data.synthetic.captions import describe, relations
from minicnn.errors import ArgumentError, DataError, ShapeError

PLAIN = {"colour_spread": 0.0, "shading": 0.0, "noise": 0.0, "occlusion": 0.0}
RED = {"red": (1.0, 0.0, 0.0)}
AREAS = {  # in units of the radius squared
    "circle": np.pi,
    "ring": np.pi * 0.75,
    "square": 2.0,
    "triangle": 0.75 * np.sqrt(3),
    "cross": (4 * 3 * 2 - 4) / 10,  # arms of half length 3 and half width 1, where a corner is sqrt(10) away
}


def masks(scenes):
    """(box, class, pixels) of every shape."""
    for i in range(len(scenes)):
        for k, (box, kind) in enumerate(zip(scenes.boxes[i], scenes.classes[i], strict=True)):
            yield box.astype(np.float64), scenes.shape_names[kind], scenes.owners[i] == k


class TestTruth:
    @pytest.mark.parametrize("shape", AREAS)
    def test_boxes_touch_the_pixels_of_the_shape(self, shape):
        scenes = shape_scenes(40, objects=(1, 1), radius=(9, 14), shapes=[shape], **PLAIN, seed=1)
        for (x1, y1, x2, y2), _, mask in masks(scenes):
            rows, columns = np.nonzero(mask)
            gaps = columns.min() - x1, rows.min() - y1, x2 - columns.max() - 1, y2 - rows.max() - 1
            assert min(gaps) > -0.5 - 1e-4  # a pixel whose centre is inside lies in the box but for half of it
            assert max(gaps) < 1.5  # a corner may be too thin for the centre of a pixel

    @pytest.mark.parametrize("shape", AREAS)
    def test_the_area_is_that_of_the_formula(self, shape):
        scenes = shape_scenes(60, objects=(1, 1), radius=(12, 12), shapes=[shape], **PLAIN, seed=2)
        areas = [mask.sum() for _, _, mask in masks(scenes)]
        assert np.mean(areas) == pytest.approx(AREAS[shape] * 12**2, rel=0.01)

    def test_a_turned_square_has_a_wider_box(self):
        options = {"objects": (1, 1), "radius": (10, 10), "shapes": ["square"], **PLAIN}
        upright = np.concatenate(shape_scenes(30, rotation=0, **options).boxes)
        turned = np.concatenate(shape_scenes(200, rotation=45, **options).boxes)
        np.testing.assert_allclose(np.ptp(upright.reshape(-1, 2, 2), axis=1), 20 / np.sqrt(2), rtol=1e-5)
        widths = np.ptp(turned.reshape(-1, 2, 2), axis=1)
        assert widths.max() == pytest.approx(20, rel=0.01)
        assert widths.min() == pytest.approx(20 / np.sqrt(2), rel=0.04)

    def test_covered_edges_mix_the_colours_by_the_area(self):
        """The sum of what red was laid over the ground is the shape's area, to a fraction of a pixel."""
        for shape in ("circle", "square", "triangle"):
            scenes = shape_scenes(
                20, objects=(1, 1), radius=(12, 12), shapes=[shape], colours=RED, rotation=10, **PLAIN, seed=3
            )
            alpha = (scenes.images[:, 0].astype(np.float64) - 0.45) / 0.55
            np.testing.assert_allclose(alpha.sum(axis=(1, 2)), AREAS[shape] * 144, rtol=0.01)
            assert ((alpha > 0.05) & (alpha < 0.95)).sum(axis=(1, 2)).min() > 20

    def test_a_pixel_has_the_colour_of_its_owner(self):
        scenes = shape_scenes(30, objects=(3, 3), **{**PLAIN, "occlusion": 0.4}, seed=4)
        from minicnn.data.synthetic.scenes import COLOURS

        deep = 0
        for image, owners, hues in zip(scenes.images, scenes.owners, scenes.colours, strict=True):
            around = np.lib.stride_tricks.sliding_window_view(owners, (3, 3)).reshape(62, 62, 9)
            inside = (around == around[..., :1]).all(axis=2)  # not at an edge
            for k, hue in enumerate(hues):
                seen = image[:, 1:-1, 1:-1][:, inside & (owners[1:-1, 1:-1] == k)]
                deep += seen.shape[1]
                np.testing.assert_allclose(seen, np.array(list(COLOURS.values())[hue])[:, None] + 0 * seen, atol=1e-6)
        assert deep > 5000

    def test_visible_is_what_others_leave(self):
        """Against the same shapes drawn one at a time: the whole area from the box and the formula."""
        scenes = shape_scenes(80, objects=(3, 3), occlusion=0.5, shapes=["circle"], radius=(12, 14), seed=5)
        for i in range(len(scenes)):
            for k, (x1, y1, x2, y2) in enumerate(scenes.boxes[i].astype(np.float64)):
                x, y = np.meshgrid(np.arange(64) + 0.5, np.arange(64) + 0.5)
                whole = np.hypot(x - (x1 + x2) / 2, y - (y1 + y2) / 2) < (x2 - x1) / 2 - 1e-5
                seen = (scenes.owners[i] == k).sum()
                assert scenes.visible[i][k] == pytest.approx(seen / whole.sum(), abs=0.01)
        shares = np.concatenate(scenes.visible)
        assert 0.5 <= shares.min() < 0.55  # the limit is kept, and used
        assert (shares < 0.9).mean() > 0.1

    def test_without_occlusion_nothing_is_covered(self):
        scenes = shape_scenes(50, objects=(3, 3), occlusion=0, seed=6)
        assert all((seen == 1).all() for seen in scenes.visible)


class TestDrawing:
    def test_the_same_seed_draws_the_same(self):
        a, b, c = (shape_scenes(6, clutter=2, seed=seed) for seed in (7, 7, 8))
        np.testing.assert_array_equal(a.images, b.images)
        assert a.captions == b.captions
        assert abs(a.images - c.images).max() > 0.3

    def test_images_are_float32_from_0_to_1(self):
        scenes = shape_scenes(5, size=(40, 56), noise=0.5)
        assert scenes.images.shape == (5, 3, 40, 56)
        assert scenes.images.dtype == np.float32
        assert (scenes.images.min(), scenes.images.max()) == (0, 1)
        assert len(scenes) == 5

    def test_counts_kinds_and_colours_are_equally_likely(self):
        scenes = shape_scenes(900, size=32, radius=(3, 4), objects=(1, 3), seed=9)
        for values, n in (
            ([len(kinds) - 1 for kinds in scenes.classes], 3),
            (np.concatenate(scenes.classes), 5),
            (np.concatenate(scenes.colours), 4),
        ):
            counts = np.bincount(values, minlength=n)
            expected = counts.sum() / n
            assert len(counts) == n
            assert (((counts - expected) ** 2) / expected).sum() < 20  # chi squared, p < 0.001 at 4 degrees

    def test_noise_alone(self):
        quiet, loud = (shape_scenes(20, **{**PLAIN, "noise": noise}, seed=10).images for noise in (0, 0.04))
        difference = (loud - quiet).ravel()
        assert difference.std() == pytest.approx(0.04, rel=0.01)
        assert abs(difference.mean()) < 5e-4
        assert abs(np.corrcoef(difference[:-1], difference[1:])[0, 1]) < 0.01

    def test_shading_alone(self):
        grey = {"colours": {"grey": (0.5, 0.5, 0.5)}, "seed": 11}
        flat, lit = (shape_scenes(40, **{**PLAIN, "shading": shading}, **grey).images for shading in (0, 0.5))
        light = (lit / flat).astype(np.float64)[:, 0]
        assert 1.4 < light.max() < 1.5
        assert 0.5 < light.min() < 0.6
        np.testing.assert_allclose(light.mean(axis=(1, 2)), 1, atol=1e-3)
        np.testing.assert_allclose(np.diff(light, n=2, axis=2), 0, atol=1e-4)  # it falls off linearly

    def test_colour_spread_alone(self):
        scenes = shape_scenes(
            300,
            size=32,
            objects=(1, 1),
            radius=(8, 9),
            shapes=["circle"],
            colours={"grey": (0.5, 0.5, 0.5)},
            **{**PLAIN, "colour_spread": 0.05},
        )
        middles = [
            image[:, int((box[1] + box[3]) / 2), int((box[0] + box[2]) / 2)]
            for image, (box,) in zip(scenes.images, scenes.boxes, strict=True)
        ]
        assert np.std(middles, axis=0) == pytest.approx(0.05, rel=0.2)

    def test_clutter_lies_behind_and_has_no_boxes(self):
        bare, full = (shape_scenes(20, clutter=clutter, objects=(1, 1), **PLAIN, seed=12) for clutter in (0, 4))
        for scenes in (bare, full):
            assert all(len(box) == 1 for box in scenes.boxes)
        assert (abs(full.images - 0.45).max(axis=1) > 0.1)[full.owners < 0].mean() > 0.05
        assert (abs(bare.images - 0.45).max(axis=1) > 0.3)[bare.owners < 0].mean() < 0.02


class TestSentences:
    def test_one_two_and_three_things(self):
        assert describe(["red ring"], [[3, 4]]) == ["a red ring"]
        assert describe(["red ring", "blue cross"], [[3, 9], [4, 2]]) == [
            "a blue cross above a red ring",
            "a red ring below a blue cross",
        ]
        three = describe(["red ring", "blue cross", "red circle"], [[0, 0], [20, 1], [40, 2]])
        assert three[0] == "a red ring left of a blue cross and a red circle"
        assert set(three) == {
            f"a {a} {word} a {b} and a {c}"
            for (i, a), (j, b), (_, c) in itertools.permutations(enumerate(["red ring", "blue cross", "red circle"]))
            for word in [("left of", "right of")[i > j]]
        }

    def test_slanted_pairs_have_two_relations(self):
        assert relations([0, 0], [10, 10.1]) == ["above", "left of"]
        assert relations([0, 0], [-10.1, 10]) == ["right of", "above"]
        assert relations([0, 0], [10, 5.7]) == ["left of"]  # 29.7 degrees
        assert relations([0, 0], [10, 5.8]) == ["left of", "above"]
        assert relations([0, 0], [0, -1]) == ["below"]
        assert relations([1, 1], [1, 1]) == []

    def test_equal_things_are_said_once(self):
        assert describe(["red ring", "red ring"], [[0, 0], [0, 9]]) == [
            "a red ring above a red ring",
            "a red ring below a red ring",
        ]

    def test_every_sentence_is_true_of_its_scene(self):
        """Read back by the grammar, and held against the boxes."""
        scenes = shape_scenes(100, size=40, radius=(4, 6), seed=13)
        pattern = re.compile(r"(?:^| and |above |below |of )a (\w+) (\w+)")
        for i, sentences in enumerate(scenes.captions):
            things = [
                f"{scenes.colour_names[hue]} {scenes.shape_names[kind]}"
                for hue, kind in zip(scenes.colours[i], scenes.classes[i], strict=True)
            ]
            x, y = scenes.boxes[i].astype(np.float64).reshape(-1, 2, 2).mean(axis=1).T
            if "triangle" in " ".join(things):
                continue  # its box's middle is not its own
            for sentence in sentences:
                assert sorted(" ".join(pair) for pair in pattern.findall(sentence)) == sorted(things)
                if len(things) > 1:
                    first, relation, second = re.match(
                        r"a (\w+ \w+) (above|below|left of|right of) a (\w+ \w+)", sentence
                    ).groups()
                    pairs = [(a, b) for a in range(len(things)) for b in range(len(things)) if a != b]
                    pairs = [(a, b) for a, b in pairs if (things[a], things[b]) == (first, second)]
                    place = {"above": y, "below": -y, "left of": x, "right of": -x}[relation]
                    assert any(place[a] < place[b] for a, b in pairs)

    def test_words_become_numbers_and_words_again(self):
        scenes = shape_scenes(30, size=32, radius=(4, 5))
        first = [sentences[0] for sentences in scenes.captions]
        words, lengths = encode_captions(first, scenes.vocabulary)
        assert words.shape == (30, max(len(sentence.split()) for sentence in first) + 2)
        np.testing.assert_array_equal(lengths, [len(sentence.split()) + 2 for sentence in first])
        np.testing.assert_array_equal((words != 0).sum(axis=1), lengths)
        assert scenes.vocabulary[words[0, 0]] == "<start>"
        assert [scenes.vocabulary[row[n - 1]] for row, n in zip(words, lengths, strict=True)] == ["<end>"] * 30
        assert decode_captions(words, scenes.vocabulary) == first
        assert decode_captions(words[:, 1:], scenes.vocabulary) == first
        assert encode_captions(first, scenes.vocabulary, length=20)[0].shape == (30, 20)

    def test_the_vocabulary_is_all_that_is_said(self):
        scenes = shape_scenes(300, size=32, radius=(3, 4))
        said = {word for sentences in scenes.captions for sentence in sentences for word in sentence.split()}
        assert said == set(scenes.vocabulary) - {"<pad>", "<start>", "<end>"}


BAD = {
    "n": ({"n": 0}, "n must"),
    "objects": ({"objects": (3, 1)}, "objects must be the least and the largest"),
    "no objects": ({"objects": (0, 1)}, "from 1 to 5, not"),
    "many objects": ({"objects": (1, 6)}, "from 1 to 5, not"),
    "one number": ({"objects": (3,)}, "objects must be"),
    "radius": ({"radius": (9, 5)}, "radius must be two numbers from 2 to 32"),
    "large": ({"radius": (5, 40)}, "radius must be"),
    "occlusion": ({"occlusion": 2}, "occlusion"),
    "shading": ({"shading": 1}, "shading must"),
    "noise": ({"noise": -1}, "noise must"),
    "nan": ({"noise": np.nan}, "noise must"),
    "rotation": ({"rotation": -1}, "rotation must"),
    "clutter": ({"clutter": -1}, "clutter must"),
    "shape": ({"shapes": ["heart"]}, "some of 'circle', 'square'"),
    "one shape": ({"shapes": "circle"}, "a list of some"),
    "colours": ({"colours": {"red": (255, 0, 0)}}, "colours must give"),
    "colours no mapping": ({"colours": 5}, "colours must give"),
    "colours as text": ({"colours": {"red": "red"}}, "colours must give .* not {'red': 'red'}"),
    "colours of two lengths": ({"colours": {"red": (1, 0, 0), "green": (0, 1)}}, "colours must give"),
    "two words": ({"colours": {"dark red": (1, 0, 0)}}, "must be one word, not 'dark red'"),
    "no word": ({"colours": {"": (1, 0, 0)}}, "must be one word, not ''"),
    "no text": ({"colours": {3: (1, 0, 0)}}, "must be one word, not 3"),
    "a word of the grammar": ({"colours": {"left": (1, 0, 0)}}, "'left' is a word of the grammar"),
    "a mark": ({"colours": {"<end>": (1, 0, 0)}}, "'<end>' is a word of the grammar"),
    "a shape twice": ({"shapes": ["ring", "ring"]}, "'ring' is there twice"),
    "a colour named as a shape": ({"colours": {"ring": (1, 0, 0)}}, "'ring' is there twice"),
    "one number of objects": ({"objects": 3}, "objects must be the least and the largest number of shapes, .* not 3"),
    "objects as text": ({"objects": "12"}, "objects must be the least and the largest"),
    "a half object": ({"objects": (1.5, 2)}, "objects must be a whole number of at least 1, not 1.5"),
    "one radius": ({"radius": 8}, r"radius must be two numbers from 2 to 32 .* not 8"),
    "radius as text": ({"radius": ("6", "8")}, "radius must be two numbers"),
    "noise as text": ({"noise": "loud"}, "noise must be a number of at least 0, not 'loud'"),
    "shading as text": ({"shading": "dark"}, "shading must be at least 0 and below 1, not 'dark'"),
    "clutter's spread": ({"colour_spread": True}, "colour_spread must be a number of at least 0, not True"),
    "shapes as a number": ({"shapes": 3}, "shapes must be a list"),
    "no colours": ({"colours": {}}, "colours must give"),
    "full": ({"size": 24, "radius": (11, 11), "objects": (4, 4), "occlusion": 0.0}, "do not fit into 24 x 24"),
}


@pytest.mark.parametrize(("arguments", "match"), BAD.values(), ids=BAD.keys())
def test_bad_arguments_are_refused(arguments, match):
    with pytest.raises(ArgumentError, match=match):
        shape_scenes(**{"n": 2, **arguments})


def test_whole_numbers_may_be_floats():
    scenes = shape_scenes(2.0, objects=(1.0, 2.0), clutter=1.0, seed=3)
    np.testing.assert_array_equal(scenes.images, shape_scenes(2, objects=(1, 2), clutter=1, seed=3).images)


def test_bad_sentences_are_refused():
    words = ("<pad>", "<start>", "<end>", "a")
    with pytest.raises(DataError, match="caption 1 has words that are not in the vocabulary: 'b'"):
        encode_captions(["a", "a b"], words)
    with pytest.raises(ArgumentError, match="caption 0 has 3 words with its two marks, more than length=2"):
        encode_captions(["a"], words, length=2)
    with pytest.raises(ArgumentError, match="a list of at least one sentence"):
        encode_captions("a", words)
    with pytest.raises(ArgumentError, match="must begin with '<pad>'"):
        encode_captions(["a"], ("a",))
    with pytest.raises(ShapeError, match=r"expected \(N, T\)"):
        decode_captions(np.zeros(3, dtype=int), words)
