"""Images that are drawn, with the truth about every pixel: as much data as a lesson needs, without a download.

Each generator draws what an instrument would have seen, from a few statements about the object and the physics of the
instrument, and returns it with exact truth. The same seed draws the same images.
"""

from minicnn.data.synthetic.calcium import (
    CalciumFrames,
    CalciumImaging,
    CalciumMovie,
    calcium_frames,
    calcium_movie,
    spike_response,
)
from minicnn.data.synthetic.calcium_tissue import Neurons
from minicnn.data.synthetic.captions import decode_captions, encode_captions
from minicnn.data.synthetic.cells import CellTimeLapse, cell_time_lapse
from minicnn.data.synthetic.scenes import ShapeScenes, shape_scenes
from minicnn.data.synthetic.skin import SkinLesions, skin_lesions
from minicnn.data.synthetic.tomograms import TomogramSlices, tomogram_slices

__all__ = [
    "CalciumFrames",
    "CalciumImaging",
    "CalciumMovie",
    "CellTimeLapse",
    "Neurons",
    "ShapeScenes",
    "SkinLesions",
    "TomogramSlices",
    "calcium_frames",
    "calcium_movie",
    "cell_time_lapse",
    "decode_captions",
    "encode_captions",
    "shape_scenes",
    "skin_lesions",
    "spike_response",
    "tomogram_slices",
]
