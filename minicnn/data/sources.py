"""Where the known data sets are on the network, and what their files hash to.

Every hash was found in two places or more: MNIST's and Fashion-MNIST's in torchvision's and other libraries' sources,
CIFAR-10's on its page and in loaders that checked it, MedMNIST's in the package `medmnist` 3.0.2 and its repository,
those of nine sets also at version 2.1.0. The organ sets of version 3 have fewer images than those of version 2, so the
record of version 2 is no mirror of theirs.
"""

from minicnn.data.download import RemoteFile


def _mirrored(name: str, md5: str, *folders: str) -> RemoteFile:
    return RemoteFile(name, md5, tuple(f"{folder}/{name}" for folder in folders))


_MNIST = ("https://ossci-datasets.s3.amazonaws.com/mnist", "https://storage.googleapis.com/cvdf-datasets/mnist")
MNIST = (
    _mirrored("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873", *_MNIST),
    _mirrored("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432", *_MNIST),
    _mirrored("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3", *_MNIST),
    _mirrored("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c", *_MNIST),
)

_FASHION = (
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
)
FASHION_MNIST = (
    _mirrored("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d", *_FASHION),
    _mirrored("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe", *_FASHION),
    _mirrored("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79", *_FASHION),
    _mirrored("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310", *_FASHION),
)

CIFAR10 = (
    _mirrored(
        "cifar-10-binary.tar.gz",
        "c32a1d4ab5d03f1284b67883e8d87530",
        "https://www.cs.toronto.edu/~kriz",
        "https://cave.cs.toronto.edu/kriz",
    ),
)

_MEDMNIST_3 = "https://zenodo.org/records/10519652/files"
_MEDMNIST_2 = "https://zenodo.org/records/6496656/files"
_SAME_IN_BOTH = {
    "pathmnist": "a8b06965200029087d5bd730944a56c1",
    "chestmnist": "02c8a6516a18b556561a56cbdd36c4a8",
    "dermamnist": "0744692d530f8e62ec473284d019b0c7",
    "octmnist": "c68d92d5b585d8d81f7112f81e2d0842",
    "pneumoniamnist": "28209eda62fecd6e6a2d98b1501bb15f",
    "retinamnist": "bd4c0672f1bba3e3a89f0e4e876791e4",
    "breastmnist": "750601b1f35ba3300ea97c75c52ff8f6",
    "bloodmnist": "7053d0359d879ad8a5505303e11de1dc",
    "tissuemnist": "ebe78ee8b05294063de985d821c1c34b",
}
_OF_VERSION_3 = {
    "organamnist": "68e3f8846a6bd62f0c9bf841c0d9eacc",
    "organcmnist": "b9ceb9546e10131b32923c5bbeaea2b1",
    "organsmnist": "9ab87b696fb54e2a387ebe992d6ed5f1",
}
MEDMNIST = {
    **{name: _mirrored(f"{name}.npz", md5, _MEDMNIST_3, _MEDMNIST_2) for name, md5 in _SAME_IN_BOTH.items()},
    **{name: _mirrored(f"{name}.npz", md5, _MEDMNIST_3) for name, md5 in _OF_VERSION_3.items()},
}
