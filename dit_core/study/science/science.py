"""What changes the numbers of a run: the resolved, frozen science whose hash is the run's identity.

Every field is written out, defaults included, before it is hashed, so that a changed default never
re-uses an old run. A field that is added to a later version carries `NEUTRAL`: the value under
which it does nothing and is left out of the canonical form, so that runs older than the field keep
their ids.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from dit_core.errors import FieldError
from dit_core.study.catalogue.designs import DESIGNS, design_of
from dit_core.study.science.data import Data as Data
from dit_core.study.science.dit import SIZES as SIZES
from dit_core.study.science.dit import Model as Model
from dit_core.study.science.dit import Positions as Positions
from dit_core.study.science.dit import dims_of as dims_of
from dit_core.study.science.frozen import Fraction as Fraction
from dit_core.study.science.frozen import Frozen as Frozen
from dit_core.study.science.frozen import Positive as Positive
from dit_core.study.science.objective import Ddpm as Ddpm
from dit_core.study.science.objective import Flow as Flow
from dit_core.study.science.objective import Objective as Objective
from dit_core.study.science.train import Train as Train
from dit_core.study.science.unet import UNet

Network = Annotated[Model | UNet, Field(discriminator="family")]


class Science(Frozen):
    """One training, fully resolved: all that changes its numbers and nothing else."""

    model: Network
    data: Data
    objective: Objective
    train: Train

    @model_validator(mode="after")
    def _data_fit_network(self) -> Science:
        if isinstance(self.model, UNet):
            if misfit := self.model.misfit(self.data):
                raise FieldError(misfit, "levels")
            return self
        self._patch_divides_input()
        self._tokens_of_data()
        self._conditions_enter()
        return self

    def _patch_divides_input(self) -> None:
        h = self.data.height
        w = self.data.width
        (ph, pw) = self.patch_shape
        if self.dit.tokens == "patches" and (h % ph or w % pw):
            fits = [q for q in range(1, w + 1) if w % q == 0 and (self.data.vectors or h % q == 0)]
            text = f"patch {pw} does not divide the input {h}x{w}; these do: {fits}"
            raise FieldError(text, "patch")

    def _tokens_of_data(self) -> None:
        if self.dit.tokens != "patches" and not self.data.vectors:
            raise FieldError(
                f"tokens {self.dit.tokens!r} need vectors; data {self.data.name!r} are images",
                "tokens",
            )
        if self.dit.tokens == "modules" and not self.data.modules:
            raise FieldError(
                "tokens 'modules' need the sizes of the groups in data.modules; they are missing",
                "tokens",
            )
        if self.dit.tokens != "patches" and self.dit.patch != 1:
            raise FieldError(
                f"patch {self.dit.patch} has no meaning with tokens {self.dit.tokens!r}; set it "
                "to 1",
                "patch",
                "tokens",
            )

    def _conditions_enter(self) -> None:
        model = self.dit
        data = self.data
        by_attention = self.sequences
        if by_attention and not design_of(model.conditioning).takes_sequences:
            able = ", ".join(row.name for row in DESIGNS.values() if row.takes_sequences)
            raise FieldError(
                f"{' and '.join(by_attention)} enter by cross-attention, which conditioning "
                f"{model.conditioning!r} lacks; choose one of {able} (a map may also enter by "
                "map_entry: concat)",
                "conditioning",
                "map_entry",
            )
        if data.map_channels:
            self._map_fits()

    def _map_fits(self) -> None:
        model = self.dit
        data = self.data
        size = f"{data.map_height}x{data.map_width}"
        by = model.map_entry
        p = model.patch
        if by == "concat" and (
            data.height % data.map_height
            or data.width % data.map_width
            or data.height // data.map_height != data.width // data.map_width
        ):
            raise FieldError(
                f"a map of {size} is no whole fraction of the input {data.height}x{data.width}, "
                "which map_entry 'concat' needs; set map_entry: cross-attention",
                "map_entry",
            )
        if by == "cross-attention" and (data.map_height % p or data.map_width % p):
            raise FieldError(
                f"patch {p} does not divide the map of {size}, whose patches are attended to",
                "patch",
            )

    @property
    def dit(self) -> Model:
        """Return the model of a Transformer.

        Raises TypeError for another family, for which the caller should have looked.
        """
        if not isinstance(self.model, Model):
            raise TypeError(
                f"a network of family {self.model.family!r} has no blocks, patches or tokens"
            )
        return self.model

    @property
    def patch_shape(self) -> tuple[int, int]:
        """Return height and width of a patch: one row for vectors."""
        p = self.dit.patch
        return (1, p) if self.data.vectors else (p, p)

    @property
    def token_sizes(self) -> tuple[int, ...]:
        """Return the numbers of features of the tokens where each has its own embedding."""
        if self.dit.tokens == "features":
            return (1,) * self.data.width
        return self.data.module_sizes if self.dit.tokens == "modules" else ()

    @property
    def sequences(self) -> tuple[str, ...]:
        """Return the conditions that every block attends to: context, map."""
        if not self.data.conditions:
            return ()
        by_attention = self.dit.map_entry == "cross-attention"
        return tuple(
            n for n in self.data.conditions if n == "context" or (n == "map" and by_attention)
        )

    @property
    def tokens(self) -> int:
        """Return the sequence length T, without condition tokens.

        T is (H / p) (W / p), or the number of groups. Raises TypeError for a U-Net, as all that
        follows from `dit` does.
        """
        if self.token_sizes:
            return len(self.token_sizes)
        ph, pw = self.patch_shape
        return (self.data.height // ph) * (self.data.width // pw)
