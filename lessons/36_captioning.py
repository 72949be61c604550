# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # 36. An image becomes a sentence
#
# A classifier answers with one of a few classes. A sentence is an answer with as many parts as it needs, each of which
# depends on those before. Vinyals et al., "Show and tell: a neural image caption generator" (2015), put two networks
# together for it: a convolutional one makes a vector of the image, and a recurrent one, an LSTM, takes that vector as
# if it were the first word, and then says the sentence, a word at a time. It learns from images and sentences alone:
# nobody says which word belongs to which place.
#
#     python lessons/36_captioning.py

# %%
import numpy as np
from matplotlib.figure import Figure

import minicnn as mc
from minicnn import nn, optim
from minicnn.data import ArrayDataset
from minicnn.data.synthetic import decode_captions, encode_captions, shape_scenes
from minicnn.metrics import bleu_score, exact_match
from minicnn.recipes import beam_search

mc.set_num_threads(1)  # such small batches gain nothing from more
SEEDS = (0, 1, 2)
LOOKS = {"shapes": ("circle", "triangle", "cross"), "size": 32, "radius": (5, 7), "occlusion": 0.0, "rotation": 15}
train = shape_scenes(6000, objects=(1, 2), seed=1, **LOOKS)
test = shape_scenes(300, objects=(1, 2), seed=2, **LOOKS)
words = test.vocabulary
PAD, START, END = (words.index(mark) for mark in ("<pad>", "<start>", "<end>"))

# %% [markdown]
# ## 1. Scenes and sentences
#
# A scene can be described in several ways, and all are right. One of them is the one to learn; the others are kept for
# judging.

# %%
print(f"{len(train)} scenes to learn from, {len(test)} others to test on, {len(words)} words: {' '.join(words)}")
for several in test.captions[:4]:
    print(f"  to learn: {several[0]}")
    for other in several[1:]:
        print(f"     right too: {other}")

NEVER = "red cross"  # of these we tell nothing, and ask at the end
told = np.array([NEVER not in several[0] for several in train.captions])
usual = np.array([NEVER not in several[0] for several in test.captions])
print(f"{told.sum()} and {usual.sum()} of them without a {NEVER}; only these are learned from")
to_learn = [several[0] for several, tell in zip(train.captions, told, strict=True) if tell]
sentences, lengths = encode_captions(to_learn, words)
print(f"the longest has {lengths.max()} words with its two marks, the shortest {lengths.min()}")

# %% [markdown]
# ## 2. Eyes first
#
# A long way leads from the wrong word at the end of a sentence back to the first convolution, and what has to be seen
# there is better learned by itself. In the paper the convolutional network was a classifier of a million photographs,
# and its weights "we left unchanged" (section 4.3.1). Ours learns to name single shapes, 12 classes of colour and
# shape. Then its classifier is taken off. What remains gives 48 numbers for each of 4 x 4 places: no average over the
# places, since where something is is half of what is to be said.


# %%
def prepared(scenes):
    return scenes.images - np.float32(0.45)


def named(n, seed):
    scenes = shape_scenes(n, objects=(1, 1), seed=seed, **LOOKS)
    return ArrayDataset(prepared(scenes), np.concatenate(scenes.classes) * 4 + np.concatenate(scenes.colours))


mc.seed(0)
features = nn.Sequential(
    nn.Conv2d(3, 16, 3, padding=1),
    nn.BatchNorm2d(16),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(16, 32, 3, padding=1),
    nn.BatchNorm2d(32),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(32, 48, 3, padding=1),
    nn.BatchNorm2d(48),
    nn.ReLU(),
)
classifier = nn.Sequential(features, nn.GlobalAvgPool2d(), nn.Linear(48, 12))
single, others = named(3000, 3), named(300, 4)
trainer = mc.Trainer(
    classifier,
    optimizer=optim.Adam(classifier.parameters(), lr=1e-2),
    schedule=optim.OneCycle(1e-2, total_steps=5 * 94),
)
history = trainer.fit(single, validation=others, epochs=5, batch_size=32, verbose=0)
print(f"\nsingle shapes that are named rightly: {history['val_accuracy'][-1]:.1%}")
assert history["val_accuracy"][-1] > 0.9
eyes = nn.Sequential(features, nn.AvgPool2d(2)).eval()


def looked_at(scenes):
    """What the eyes make of scenes, (N, 48, 4, 4): as they do not change, they look once."""
    x = prepared(scenes)
    return np.concatenate([eyes(x[i : i + 100]) for i in range(0, len(x), 100)])


views, test_views = looked_at(train)[told], looked_at(test)

# %% [markdown]
# ## 3. The image as the first word
#
# The LSTM's input at each step is a vector of D numbers. First comes the image's, then those of the words from
# "<start>" on (`nn.Embedding`: each word has a row of numbers, which are learned). At each step, the state says how
# likely each word is to come **next**; what is said behind the image itself is not looked at.
#
# While it learns, the LSTM is always given the right words so far, whatever it would have said itself. That is called
# **teacher forcing**: all steps of all sentences are known beforehand and can be computed in one go.

# %%
print("\nstep   input        to be said")
spoken = [words[i] for i in sentences[0, : lengths[0]]]
for step, (given, wanted) in enumerate(zip(("(the image)", *spoken[:-1]), ("", *spoken[1:]), strict=True)):
    print(f"{step:>4}   {given:<12} {wanted or '(not looked at)'}")


class Captioner(nn.Layer):
    def __init__(self, features=64, hidden=96):
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(48 * 4 * 4, features))
        self.embedding = nn.Embedding(len(words), features, padding_idx=PAD)
        self.lstm = nn.LSTM(features, hidden, return_sequences=True)
        self.output = nn.TimeDistributed(nn.Linear(hidden, len(words)))

    def forward(self, views, sentences, lengths):
        """views (N, 48, 4, 4), sentences (N, T), lengths (N,) -> logits (N, T - 1, V) of all words but the first"""
        image = self.encoder(views)
        inputs = np.concatenate([image[:, None], self.embedding(sentences[:, :-1])], axis=1)
        return self.output(self.lstm(inputs, lengths))[:, 1:]

    def backward(self, dlogits):
        of_image = np.zeros_like(dlogits[:, :1])
        dinputs = self.lstm.backward(self.output.backward(np.concatenate([of_image, dlogits], axis=1)))
        self.embedding.backward(dinputs[:, 1:])
        self.encoder.backward(np.ascontiguousarray(dinputs[:, 0]))


# %% [markdown]
# ## 4. Sentences of different lengths
#
# A batch is a rectangle, so short sentences are filled up with "<pad>". Nobody is to learn to say that. The LSTM is
# given the lengths, and the loss is a mean over the words that are there: a **mask** picks them, and all other entries
# of the gradient are zero. So whatever stands behind the end of a sentence must change nothing at all:

# %%
cross_entropy = nn.CrossEntropyLoss()


def loss_and_gradient(logits, sentences, lengths):
    """logits (N, T - 1, V) -> the mean loss of a word, dlogits"""
    there = np.arange(1, sentences.shape[1]) < lengths[:, None]  # (N, T - 1): the second word to the last, "<end>"
    loss = cross_entropy(logits[there], sentences[:, 1:][there])
    dlogits = np.zeros_like(logits)
    dlogits[there] = cross_entropy.backward()
    return loss, dlogits


def gradients(model, views, sentences, lengths):
    model.zero_grad()
    loss, dlogits = loss_and_gradient(model(views, sentences, lengths), sentences, lengths)
    model.backward(dlogits)
    return loss, [parameter.grad.copy() for parameter in model.parameters()]


mc.seed(0)
model = Captioner()
rubbish = np.where(np.arange(sentences.shape[1]) < lengths[:, None], sentences, words.index("cross"))
some = slice(0, 16)
loss, grads = gradients(model, views[some], sentences[some], lengths[some])
other_loss, other_grads = gradients(model, views[some], rubbish[some], lengths[some])
print(f"\nloss with padding {loss:.6f}, with rubbish in its place {other_loss:.6f}")
assert loss == other_loss
assert all(np.array_equal(a, b) for a, b in zip(grads, other_grads, strict=True))

# %% [markdown]
# ## 5. Learning
#
# The gradient goes back through all steps of the LSTM and comes out at its inputs: at the first one, the image's
# vector, it goes on to the layer that makes the vector, at the others to the words' rows. Should it be very large once,
# it is cut off (`optim.clip_grad_norm`).

# %%
EPOCHS, BATCH, LR = 6, 32, 4e-3


def fit(seed):
    mc.seed(seed)
    rng = np.random.default_rng(seed)
    model = Captioner()
    optimizer = optim.Adam(model.parameters(), lr=LR)
    schedule = optim.OneCycle(LR, total_steps=EPOCHS * (len(views) // BATCH))
    losses = []
    for _ in range(EPOCHS):
        for rows in rng.permutation(len(views))[: len(views) // BATCH * BATCH].reshape(-1, BATCH):
            model.zero_grad()
            longest = lengths[rows].max()
            batch = sentences[rows, :longest]
            loss, dlogits = loss_and_gradient(model(views[rows], batch, lengths[rows]), batch, lengths[rows])
            model.backward(dlogits)
            optim.clip_grad_norm(model.parameters(), 5.0)
            optimizer.lr = schedule.lr_at(len(losses))
            optimizer.step()
            losses.append(float(loss))
    return model.eval(), np.array(losses).reshape(EPOCHS, -1).mean(axis=1)


models, curves = zip(*(fit(seed) for seed in SEEDS), strict=True)
print(f"\nmean loss of a word, {EPOCHS} epochs:")
for seed, curve in zip(SEEDS, curves, strict=True):
    print(f"  seed {seed}: " + " ".join(f"{loss:.2f}" for loss in curve))
    assert curve[-1] < 0.5 * curve[0]

# %% [markdown]
# ## 6. Saying something
#
# Now there is no teacher. The **greedy** way says the likeliest word, takes it as the next input, and so on until
# "<end>". But the likeliest first word need not begin the likeliest sentence. **Beam search** keeps the few likeliest
# beginnings at each step. `beam_search` asks for one function: from the last words and what the LSTM remembers, how
# likely is each next word?


# %%
def decoder(model, view):
    """What `beam_search` wants: a function of (words, state), and the state when the image has been seen."""
    _, state = model.lstm.step(model.encoder(view[None]))

    def step(last, state):
        h, state = model.lstm.step(model.embedding(last), state)
        logits = model.output.layer(h)
        shifted = logits - logits.max(axis=1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)), state

    return step, state


def describe(model, view, width):
    said = beam_search(*decoder(model, view), start=START, end=END, width=width, max_length=12)[0]
    return decode_captions([said.words], words)[0], said.log_probability


# %% [markdown]
# Two measures. **Exact match**: the share of sentences that equal a right one. **BLEU**, of machine translation: how
# many of the runs of one to four words are right (Papineni et al., 2002). Every measure of language needs a baseline,
# since all sentences of a language are alike. Ours is blind: it says of each scene what is right of *another*.

# %%
WIDTHS = (1, 3)
said = {
    (width, seed): [describe(model, view, width) for view in test_views]
    for width in WIDTHS
    for seed, model in zip(SEEDS, models, strict=True)
}
blind = [several[0] for several in test.captions[1:] + test.captions[:1]]


def judged(sentences):
    """Exact match and BLEU, of the scenes without what was never told of."""
    pairs = [pair for pair, count in zip(zip(sentences, test.captions, strict=True), usual, strict=True) if count]
    return exact_match(*zip(*pairs, strict=True)), bleu_score(*zip(*pairs, strict=True))


print(f"\n{'':<18} {'exact match':<24} BLEU")
results = {
    f"beam of {width}" if width > 1 else "greedy": np.array(
        [judged([s for s, _ in said[width, seed]]) for seed in SEEDS]
    )
    for width in WIDTHS
}
print("  {:<16} {:<24.2f} {:.2f}".format("blind", *judged(blind)))
for name, rows in results.items():
    cells = [f"{column.mean():.2f} ({column.min():.2f} - {column.max():.2f})" for column in rows.T]
    print(f"  {name:<16} {cells[0]:<24} {cells[1]}")
likelihood = {width: np.array([[p for _, p in said[width, seed]] for seed in SEEDS]).mean(axis=1) for width in WIDTHS}
print(
    "mean log-probability of what is said: "
    + ", ".join(f"{name} {likelihood[width].mean():.3f}" for name, width in zip(results, WIDTHS, strict=True))
)
assert likelihood[WIDTHS[1]].mean() >= likelihood[WIDTHS[0]].mean() - 0.02, "a beam finds what is as likely"
for rows in results.values():
    assert (rows[:, 0] > 5 * judged(blind)[0]).all()
    assert (rows[:, 1] > judged(blind)[1] + 0.2).all()

# %% [markdown]
# Look at the blind one: next to none of its sentences is right, and its BLEU is not 0, since "a", "above" and the runs
# that they are in are right by chance. A BLEU by itself says little. And here beam search changes nearly nothing: once
# the image has been seen, this small language leaves little to choose. Where sentences are long it matters.
#
# ## 7. What goes wrong
#
# A sentence has parts, so a mistake has a place.


# %%
def things(sentence):
    """The colours and shapes that a sentence names, sorted."""
    spoken = sentence.split()
    return sorted(tuple(spoken[i + 1 : i + 3]) for i, word in enumerate(spoken) if word == "a")


def column(things, i):
    return sorted(thing[i] for thing in things if len(thing) == 2)


best = {seed: [sentence for sentence, _ in said[WIDTHS[1], seed]] for seed in SEEDS}
right = np.array([[a in b for a, b in zip(best[seed], test.captions, strict=True)] for seed in SEEDS])
counts = np.array([len(kinds) for kinds in test.classes])
print("\nexact matches with a beam, three seeds:")
for name, which in (
    ("one thing", usual & (counts == 1)),
    ("two things", usual & (counts == 2)),
    (f"with a {NEVER}", ~usual),
):
    print(f"  {name:<28} {which.sum():>4} scenes: {', '.join(f'{row[which].mean():.2f}' for row in right)}")
assert right[:, usual & (counts == 1)].mean() > right[:, usual & (counts == 2)].mean()
assert right[:, ~usual].mean() < right[:, usual].mean() - 0.2

# %% [markdown]
# The last line is the one to remember. The eyes learned to name red crosses as well as any other shape, and "red" and
# "cross" are words that the network uses every day. But it was never told of a red cross, and so it hardly ever says
# it: it has learned which sentences there are, and composes less than one would think. A test set that is like what was
# learned does not show this; one has to leave something out.

# %%
kinds = {
    "wrong number of things": 0,
    "wrong colours": 0,
    "wrong shapes": 0,
    "colours of the wrong shapes": 0,
    "wrong relation": 0,
}
for seed in SEEDS:
    for sentence, several in zip(best[seed], test.captions, strict=True):
        if sentence in several or NEVER in several[0]:
            continue
        a, b = things(sentence), things(several[0])
        checks = (len(a) != len(b), column(a, 0) != column(b, 0), column(a, 1) != column(b, 1), a != b, True)
        kinds[list(kinds)[checks.index(True)]] += 1
total = sum(kinds.values())
print(
    f"the first fault of {total} wrong sentences: "
    + ", ".join(f"{name} {count / total:.0%}" for name, count in kinds.items())
)

# %%
figure = Figure(figsize=(11, 5.6), layout="constrained", dpi=120)
two = usual & (counts == 2)
examples = [*np.flatnonzero(right[0] & two)[:5], *np.flatnonzero(~right[0] & two)[:3]]
examples += [*np.flatnonzero(~right[0] & ~usual)[:2]]
for i, axes in zip(examples, figure.subplots(2, 5).flat, strict=False):
    axes.imshow(test.images[i].transpose(1, 2, 0))
    axes.set_xticks([])
    axes.set_yticks([])
    spoken = best[0][i].split()
    half = (len(spoken) + 1) // 2
    text = " ".join(spoken[:half]) + "\n" + " ".join(spoken[half:])
    axes.set_title(
        f"{'right' if right[0, i] else 'wrong'}: {text}", fontsize=9, color="#0072B2" if right[0, i] else "#D55E00"
    )
figure.suptitle(f"Above: said rightly. Below: wrongly; the last two have a {NEVER}, of which it was never told")
figure.savefig("captioning_scenes.png")

shown = int(np.flatnonzero(right[0] & usual & (counts == 2))[0])
step, state = decoder(models[0], test_views[shown])
spoken = (*best[0][shown].split(), words[END])
likely = []
for word in (words[START], *spoken[:-1]):
    log_p, state = step(np.array([words.index(word)]), state)
    likely.append(np.exp(log_p[0]))
used = [i for i, word in enumerate(words) if i not in (PAD, START)]
figure = Figure(figsize=(9, 4.8), layout="constrained", dpi=120)
left, right_axes = figure.subplots(1, 2, width_ratios=[1, 2.4])
left.imshow(test.images[shown].transpose(1, 2, 0))
left.set_axis_off()
picture = right_axes.imshow(np.array(likely).T[used], cmap="cividis", vmin=0, vmax=1, aspect="auto")
right_axes.set_xticks(range(len(spoken)), spoken, rotation=45)
right_axes.set_yticks(range(len(used)), [words[i] for i in used])
right_axes.set_xlabel("what is said, step by step")
right_axes.set_ylabel("what could be said")
figure.colorbar(picture, label="probability of the next word")
figure.suptitle("What the network takes for likely at each step")
figure.savefig("captioning_next_word.png")
print("\ndrew captioning_scenes.png and captioning_next_word.png")

# %% [markdown]
# What to see: in the first figure, where sentences are wrong it is what they say, not the grammar, and red crosses get
# another name. In the second one grammar and image take turns: after "a" only colours are possible and the image
# decides; behind the first shape the network hesitates, since what lies on a slant is both above and beside.
#
# ## Remember
#
# 1. What a network says first can be what it is given first: an image's vector stands in the place of a word.
# 2. In learning, the right words so far are given; in use, its own. A mistake at the beginning is then carried along.
# 3. Padding is no word. Mask it in the loss, and test that rubbish in its place changes nothing.
# 4. BLEU counts runs of words. Compare it with a blind baseline, and with exact matches where there are few sentences.
# 5. Leave something out of what is learned, and ask for it.
#
# ## Try
#
# 1. Learn with a right sentence drawn anew in each epoch instead of always the first one. What does greed do to a
#    network that hesitates between two orders, and does a beam help now?
# 2. Put `nn.GlobalAvgPool2d` in the place of `nn.Flatten` (the `Linear` then takes 48). Which words suffer?
# 3. Three things in a scene: `objects=(1, 3)`. How much more data does it take?
# 4. Tell of red crosses in a tenth of the scenes that have one. How much does it take?
