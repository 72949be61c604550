# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 1. A first convolutional network
#
# A network learns to read real handwritten digits: 1,797 images of 8 x 8 pixels, which scikit-learn brings along.
# This is `minicnn train` written as a script. It takes a few seconds; run it with
#
#     python lessons/01_first_cnn.py

# %%
import numpy as np
from matplotlib.figure import Figure

import minicnn as mc
from minicnn import data, nn, optim
from minicnn.analyse import plot_history

# %% [markdown]
# ## The data
#
# Three parts, and each has a job of its own. The network learns from the **training** set. We look at the
# **validation** set while we work, to choose among networks. The **test** set is for the end: it is sealed, and
# every opening is counted, because a network that was chosen by its test results has seen the test.

# %%
digits = data.load("digits")
print(digits)

image, label = digits.train[0]
print(f"an image has shape {image.shape} (channels, height, width) and this one shows a {label}:")
for row in image[0]:
    print("   " + "".join(" .:-=+*#%@"[int(9 * pixel)] * 2 for pixel in row))

# %% [markdown]
# Networks learn faster from numbers around zero. Mean and spread are measured on the training set alone; the other
# two parts are shifted and scaled by the same numbers.

# %%
digits = data.normalise(digits)
print(
    f"training pixels now have mean {abs(digits.train.x.mean()):.3f} and standard deviation {digits.train.x.std():.3f}"
)

# %% [markdown]
# ## The network
#
# * `Conv2d(1, 16, 3)` slides 16 kernels of 3 x 3 weights over the image: 16 maps of where each pattern was found.
# * `BatchNorm2d` brings each map to mean 0 and variance 1, so that the next layer always sees numbers of the same
#   size.
# * `ReLU` sets negative numbers to zero. Without it, two convolutions would be no more than one.
# * `MaxPool2d(2)` keeps the largest of every 2 x 2: half the side, and where exactly a pattern was no longer matters.
# * `Linear` weighs all that was found into ten scores, one a digit.
#
# The seed fixes every random number of this script: run it twice and you see the same numbers twice.

# %%
mc.seed(0)
model = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1),
    nn.BatchNorm2d(16),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(16, 32, 3, padding=1),
    nn.BatchNorm2d(32),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.Linear(128, 10),
)
print(model.summary((1, 8, 8)))

# %% [markdown]
# The summary's last column is the square of input pixels that one number depends on. It grows from layer to layer,
# past the image's own 8 x 8 in the end, where it reaches into the padding: the first convolution can see an edge,
# the second a whole stroke.
#
# ## Training
#
# The **loss** says with one number how wrong the scores are. The **backward pass** computes how the loss changes
# with every weight, and the **optimizer** moves each weight a little way downhill. One such step is made for every
# batch of 32 images; an epoch is once through the training set.

# %%
trainer = mc.Trainer(
    model,
    loss=nn.CrossEntropyLoss(),
    optimizer=optim.Adam(model.parameters(), lr=1e-3),
)
history = trainer.fit(digits.train, validation=digits.validation, epochs=15, batch_size=32)
for row in history:
    print(f"epoch {row['epoch']:2.0f}: training loss {row['loss']:.3f}, validation accuracy {row['val_accuracy']:.3f}")

# %% [markdown]
# ## Looking
#
# The curves first, always. Both losses should fall. A network that knows nothing begins near -log 0.1 = 2.3, the
# loss of saying 0.1 for each of ten digits. At first validation looks better than training: the training loss is a
# mean over an epoch in which the network was still learning. Where training goes on falling and validation turns
# up, the network begins to learn the training images by heart.

# %%
plot_history(history, units={"loss": "nats"}).savefig("first_cnn.png")
print("the learning curves are in first_cnn.png")

# %% [markdown]
# Now, once, the test set.

# %%
result = trainer.evaluate(digits.test)
print(f"test accuracy {result['accuracy']:.4f}; {digits.test}")

# %% [markdown]
# Which digits does it confuse? We stay with the validation set: looking at the test set's mistakes and then changing
# the network would be choosing by the test. The mistakes come first, then images that were read well.

# %%
probabilities = trainer.predict_proba(digits.validation.x)
read_as, truth = probabilities.argmax(axis=1), digits.validation.y
order = np.argsort(read_as == truth, kind="stable")[:40]

figure = Figure(figsize=(9.2, 3.6), layout="constrained", dpi=120)
figure.suptitle("Validation digits and what the network reads; mistakes in orange, with the truth in brackets")
for axes, i in zip(figure.subplots(4, 10).flat, order, strict=True):
    right = read_as[i] == truth[i]
    axes.imshow(digits.validation.x[i, 0], cmap="gray_r")
    axes.set_title(
        f"{read_as[i]}" if right else f"{read_as[i]} ({truth[i]})", color="black" if right else "#D55E00", fontsize=11
    )
    axes.set_axis_off()
figure.savefig("first_cnn_digits.png")
print(f"{(read_as != truth).sum()} of {len(truth)} validation digits were misread; they are in first_cnn_digits.png")

# %% [markdown]
# ## Try
#
# 1. Take out both `BatchNorm2d`. How many epochs does it take now to a validation accuracy of 0.95?
# 2. Set `lr=1.0`. Where do the curves stay, and why there?
# 3. Train on 100 images only, `digits.train.subset(range(100))`, for `epochs=100`. How large is the gap between the
#    two losses now, and which of them has stopped falling?
