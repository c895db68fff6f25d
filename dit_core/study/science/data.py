"""What is trained on, as far as it changes the numbers of a run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from dit_core.errors import FieldError
from dit_core.study.catalogue.data_sets import DATA_SETS, DataSet
from dit_core.study.catalogue.fetched_sets import FETCHED_SETS, FetchedSet
from dit_core.study.science.frozen import Frozen, Positive, neutral

Count = Annotated[int, Field(ge=0)]
CONDITIONED = ("digits", "table", "npz")  # kinds whose samples may carry more than a label


class Data(Frozen):
    """What is trained on.

    Where it lies is execution (`execution.data_roots`), what it is is science.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = "digits"
    """Name of the data set: those of `BUILT_IN` need no files; any other is looked up in
    `execution.data_roots`.
    """
    kind: Literal["digits", "table", "images", "npz", "latents"] = "digits"
    """How it is stored: built-in digits or tables, image folders, named arrays, or VAE latents
    (`ditlab encode`).
    """
    channels: Positive = 1
    """Channels C of one sample as the network sees it."""
    height: Positive = 8
    """Height H of one sample as the network sees it (a latent's, not the image's); 1 for vectors.
    """
    width: Positive = 8
    """Width W of one sample as the network sees it; the number of features for vectors."""
    classes: Positive = 10
    """Number of labels; the null class of guidance comes on top."""
    images: Positive = 1797
    """Number of training samples; an epoch is this many images."""
    flip: bool = False
    """Flip each sample left-right with probability one half (the paper does on ImageNet; digits
    must not).
    """
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """Hash of the data's manifest; checked at the start of a run when given."""
    vectors: bool = Field(False, json_schema_extra=neutral(False))
    """Samples are vectors of `width` features, not images: patches are blocks of features in one
    row.
    """
    modules: Annotated[str, Field(pattern=r"^([1-9]\d*( [1-9]\d*)*)?$")] = Field(
        "", json_schema_extra=neutral("")
    )
    """Sizes of the groups of features that `model.tokens: modules` makes tokens of, in their order:
    `1 3 4`.
    """
    vector: Count = Field(0, json_schema_extra=neutral(0))
    """Continuous condition: number of parameters of each sample; 0 is none."""
    context_tokens: Count = Field(0, json_schema_extra=neutral(0))
    """Context condition: tokens of each sample, at most; 0 is none."""
    context_width: Count = Field(0, json_schema_extra=neutral(0))
    """Context condition: width D of a token's embedding, made beforehand."""
    map_channels: Count = Field(0, json_schema_extra=neutral(0))
    """Spatial condition: channels of each sample's map; 0 is none."""
    map_height: Count = Field(0, json_schema_extra=neutral(0))
    """Spatial condition: height of the map."""
    map_width: Count = Field(0, json_schema_extra=neutral(0))
    """Spatial condition: width of the map."""
    held_out: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, json_schema_extra=neutral(0.0))
    """Share of the samples of each label that is kept out of training, to be asked for in
    evaluations.
    """

    @property
    def module_sizes(self) -> tuple[int, ...]:
        """Return the number of features of each module."""
        return tuple(map(int, self.modules.split()))

    @property
    def conditions(self) -> tuple[str, ...]:
        """Return the names of the conditions besides the label: vector, context, map."""
        if not (self.vector or self.context_tokens or self.map_channels):
            return ()  # asked for often, by most studies in vain
        sizes = {"vector": self.vector, "context": self.context_tokens, "map": self.map_channels}
        return tuple(name for name, value in sizes.items() if value)

    @model_validator(mode="after")
    def _conditions_whole(self) -> Data:
        self._all_or_none("context_tokens", "context_width")
        self._all_or_none("map_channels", "map_height", "map_width")
        if self.conditions and self.kind not in CONDITIONED:
            raise FieldError(
                f"data of kind {self.kind!r} carry labels alone, no "
                f"{' or '.join(self.conditions)}; "
                f"kinds with more conditions are {', '.join(CONDITIONED)}",
                "kind",
            )
        if self.flip and (self.conditions or self.vectors):
            what = " and ".join(self.conditions) or "order of features"
            raise FieldError(
                f"flip would mirror a sample and leave its {what} as it is; set flip: false",
                "flip",
            )
        return self

    @model_validator(mode="after")
    def _vectors_whole(self) -> Data:
        if self.vectors and (self.channels, self.height) != (1, 1):
            raise FieldError(
                f"vectors have channels 1 and height 1, given {self.channels} and {self.height}; "
                "width is the number of features",
                "channels",
                "height",
                "vectors",
            )
        if self.kind == "table" and not self.vectors:
            raise FieldError(
                "data of kind 'table' are vectors; set vectors: true", "vectors", "kind"
            )
        if self.modules and (not self.vectors or sum(self.module_sizes) != self.width):
            of = f"{self.width} features" if self.vectors else "images, which have none"
            raise FieldError(
                f"modules {self.modules!r} group {sum(self.module_sizes)} features of {of}",
                "modules",
            )
        return self

    def _all_or_none(self, *names: str) -> None:
        given = [name for name in names if getattr(self, name)]
        if given and len(given) < len(names):
            missing = ", ".join(name for name in names if name not in given)
            raise FieldError(
                f"{', '.join(given)} given without {missing}; a condition needs all or none",
                *given,
            )


def _built_in(row: DataSet) -> Data:
    stated = [name for name in FACTS if hasattr(row, name)]  # no built-in set has context tokens
    return Data(name=row.name, **{name: getattr(row, name) for name in stated})


def _fetched(row: FetchedSet) -> Data:
    return Data(
        name=row.name,
        kind="npz",
        channels=row.channels,
        height=row.height,
        width=row.width,
        classes=len(row.classes),
        images=row.images,
    )


CHOICES = ("name", "flip", "sha256")
"""Fields that a study sets even where the data set is built in."""
FACTS = tuple(name for name in Data.model_fields if name not in CHOICES)
"""Fields that a built-in data set fixes."""
NEEDED = tuple(name for name in FACTS if not Data.model_fields[name].json_schema_extra)
"""Facts that a study must state of any other data set: those without a neutral value."""
BUILT_IN: dict[str, Data] = {name: _built_in(row) for name, row in DATA_SETS.items()}
"""Data sets that need no files."""
FETCHED: dict[str, Data] = {name: _fetched(row) for name, row in FETCHED_SETS.items()}
"""Data sets that `ditlab fetch` brings; a study may leave out their facts."""
