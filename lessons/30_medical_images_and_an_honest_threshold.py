# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 30. Medical images, and a threshold to be honest about
#
# A network looks at moles. Nobody wants its accuracy: a clinic wants to know how many melanomas it finds (its
# **sensitivity**), how many people it sends to surgery for nothing (one minus its **specificity**), how sure both numbers
# are, and whether they will hold next door. This lesson chooses a threshold, seals it, and then measures.
#
#     python lessons/30_medical_images_and_an_honest_threshold.py

# %%
import numpy as np
from matplotlib.figure import Figure

import minicnn as mc
from minicnn import data, metrics, nn, optim
from minicnn.data import augment

SEEDS = (0, 1, 2)
REQUIRED = 0.9
PREVALENCE = 0.25

# %% [markdown]
# ## 1. The images
#
# They are drawn. That has a price, since real skin is richer, and an advantage: we know what nobody knows of real
# patients, namely how well *anybody* could do. A lesion is drawn by the ABCD rule of dermatologists (Nachbar et al.,
# 1994): **a**symmetry, irregular **b**order, varied **c**olour and large **d**iameter are more frequent in malignant
# ones. But the two classes overlap in all of them. Skin tones, hairs, shadows and noise say nothing, and are there too.

# %%
lesions = data.synthetic.skin_lesions(3200, size=32, prevalence=PREVALENCE, seed=1)
index = np.arange(len(lesions))  # the labels and the truth are looked up by it
splits = data.split((lesions.images, lesions.labels), validation=0.25, test=0.25, name="lesions")
moles = data.normalise(splits)
print(moles)
print(f"malignant: {lesions.labels.mean():.1%} of all; one pixel is {lesions.pixel_mm:.2f} mm")
