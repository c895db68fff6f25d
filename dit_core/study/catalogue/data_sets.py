"""The built-in data sets, which ship with scikit-learn and need no files.

Another one of these kinds is a row here; another kind also needs a reader in `dit_core/data/sets/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class DataSet:
    """One built-in data set: the facts of a study's `data` section, and how it is read."""

    name: str
    """Value of `data.name`."""
    kind: str
    """Value of `data.kind`, which decides the reader: digits or table."""
    height: int
    """Height of one sample; 1 for vectors."""
    width: int
    """Width of one sample; the number of features for vectors."""
    classes: int
    """Number of labels."""
    images: int
    """Number of training samples, those held out not among them."""
    source: str = ""
    """Loader of a table in `sklearn.datasets`."""
    channels: int = 1
    """Channels of one sample."""
    vectors: bool = False
    """Samples are vectors of features."""
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Groups of features for `model.tokens: modules`: name of a group to names of its features.

    Empty for a table without groups, which then cannot be tokenised by modules.
    """
    vector: int = 0
    """Parameters of the continuous condition, measured on each digit; 0 is none."""
    map: str = ""
    """Map condition, made of each digit: a name in `dit_core/data/sets/built_in.py`, or none."""
    map_channels: int = 0
    """Channels of the map."""
    map_height: int = 0
    """Height of the map."""
    map_width: int = 0
    """Width of the map."""
    held_out: float = 0.0
    """Share of the samples of each label that is kept out of training."""

    @property
    def modules(self) -> str:
        """Return the sizes of the groups as `data.modules` writes them: "1 3 4"."""
        return " ".join(str(len(features)) for features in self.groups.values())


# Wine: by chemistry. Breast cancer: mean, standard error and worst value of one measure of a cell.
_WINE_GROUPS = {
    "alcohol": ("alcohol",),
    "acid": ("malic_acid",),
    "minerals": ("ash", "alcalinity_of_ash", "magnesium"),
    "phenols": ("total_phenols", "flavanoids", "nonflavanoid_phenols", "proanthocyanins"),
    "colour": ("color_intensity", "hue", "od280/od315_of_diluted_wines"),
    "proline": ("proline",),
}
_CELL_MEASURES = (
    "radius",
    "texture",
    "perimeter",
    "area",
    "smoothness",
    "compactness",
    "concavity",
    "concave points",
    "symmetry",
    "fractal dimension",
)
_CELL_GROUPS = {name: (f"mean {name}", f"{name} error", f"worst {name}") for name in _CELL_MEASURES}

_DIGITS = DataSet(
    name="digits",
    kind="digits",
    height=8,
    width=8,
    classes=10,
    images=1797,
)
_DIGITS_SPLIT = replace(_DIGITS, images=1438, held_out=0.2)

DATA_SETS: dict[str, DataSet] = {
    row.name: row
    for row in (
        _DIGITS,
        replace(_DIGITS, name="digits-measured", vector=3),
        replace(
            _DIGITS_SPLIT,
            name="digits-half",
            map="half-hidden",
            map_channels=2,
            map_height=8,
            map_width=8,
        ),
        replace(
            _DIGITS_SPLIT,
            name="digits-coarse",
            map="coarse",
            map_channels=1,
            map_height=4,
            map_width=4,
        ),
        DataSet(
            name="wine",
            kind="table",
            source="load_wine",
            height=1,
            width=13,
            classes=3,
            images=178,
            vectors=True,
            groups=_WINE_GROUPS,
        ),
        DataSet(
            name="breast-cancer",
            kind="table",
            source="load_breast_cancer",
            height=1,
            width=30,
            classes=2,
            images=569,
            vectors=True,
            groups=_CELL_GROUPS,
        ),
    )
}

# Of data sets whose files a user brings, for weights that were trained elsewhere.
KNOWN_IMAGES: dict[str, int] = {"imagenet": 1_281_167}  # ILSVRC 2012
KNOWN_CLASSES: dict[str, int] = {"imagenet": 1000}


def images_of(name: str) -> int | None:
    """Return the number of training images of a known data set; None where it is unknown."""
    row = DATA_SETS.get(name)
    return row.images if row else KNOWN_IMAGES.get(name)


def classes_of(name: str) -> int | None:
    """Return the number of classes of a known data set; None where it is unknown."""
    row = DATA_SETS.get(name)
    return row.classes if row else KNOWN_CLASSES.get(name)
