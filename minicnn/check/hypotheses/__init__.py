"""Hypotheses about mistakes: each proposes readings of a wrong result, and a reading is believed if it fits all trials.

whole        the result as a whole: zero, sign, scale, axes, shifts
masks        what gets through
parts        sums of which a part is lost, batches of which a part counts
terms        formulas, term by term
measured     the same without a formula, for gradients that were measured
norms        normalisations: which numbers belong together
sequences    steps along a sequence: which state, which end
products     factors that come too late, products with the wrong factor
formulas     wrong formulas that are met again and again; resampled and regions hold those of resizing and regions
groups       channels in groups
arguments    which arrays the computation was fed with
options      and which options
"""

from collections.abc import Callable, Iterator

from minicnn.check.hypotheses.arguments import (
    absent_argument,
    another_array,
    another_sample,
    flipped_argument,
    transposed_argument,
    unused_argument,
)
from minicnn.check.hypotheses.formulas import formulas
from minicnn.check.hypotheses.groups import groups
from minicnn.check.hypotheses.masks import masks
from minicnn.check.hypotheses.measured import (
    direct_ways,
    exchanged_parts,
    mirrors,
    separate_steps,
    statistics,
    unmasked_sums,
)
from minicnn.check.hypotheses.norms import norms
from minicnn.check.hypotheses.options import changed_option, exchanged_options, miscounted_numbers
from minicnn.check.hypotheses.parts import incomplete_sums, overwritten, smaller_batch
from minicnn.check.hypotheses.products import late_factors, sums_of_products
from minicnn.check.hypotheses.sequences import sequences
from minicnn.check.hypotheses.terms import terms
from minicnn.check.hypotheses.whole import (
    bordered,
    flipped,
    other_sample,
    scale,
    shifted,
    sign,
    sums_of_others,
    transposed,
    unsummed,
    zero,
)
from minicnn.check.trial import Reading, Trial

Hypothesis = Callable[[Trial], Iterator[Reading]]

HYPOTHESES: tuple[Hypothesis, ...] = (
    zero,
    sign,
    scale,
    transposed,
    flipped,
    shifted,
    other_sample,
    unsummed,
    sums_of_others,
    bordered,
    masks,
    terms,
    statistics,
    direct_ways,
    separate_steps,
    mirrors,
    exchanged_parts,
    unmasked_sums,
    formulas,
    norms,
    sequences,
    late_factors,
    sums_of_products,
    groups,
    changed_option,
    exchanged_options,
    miscounted_numbers,
    absent_argument,
    incomplete_sums,
    smaller_batch,
    overwritten,
    another_sample,
    flipped_argument,
    transposed_argument,
    another_array,
    unused_argument,
)
