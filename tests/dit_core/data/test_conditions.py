"""Data for conditions beyond labels: measures, maps, tables."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dit_core.data.sets.digits import digits
from dit_core.data.sets.measures import measures
from dit_core.data.sets.spatial import coarse, half_hidden, held_out
from dit_core.data.sets.tables import module_indices, standardise, table
from dit_core.errors import DataError


def _drawn(shear, half_width=1.0, level=1.0, side=33):
    """A bar of grey `level`, `half_width` columns to either side of a line that leans right by
    `shear` per row up.
    """
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    line = side // 2 + shear * (side // 2 - rows)
    inside = ((columns - line).abs() <= half_width) & ((rows - side // 2).abs() <= 8)
    return torch.where(inside, 2 * level - 1, -1.0)[None, None]


def test_measures_of_known_shapes():
    for shear in (-0.5, 0.0, 0.25, 1.0):
        assert measures(_drawn(shear, 4.0))[0, 1] == pytest.approx(shear, abs=0.03)
    ink, slant, width = measures(_drawn(0.0, 4.0, 0.5))[0].tolist()
    assert ink == pytest.approx(0.5 * 9 * 17 / 33**2)
    assert slant == 0
    assert width == pytest.approx(np.std(np.arange(9)))


def test_measures_follow_geometry_on_real_digits():
    x, _ = digits()
    found = measures(x)
    assert torch.isfinite(found).all()
    mirrored = measures(x.flip(-1))
    assert torch.allclose(mirrored[:, 1], -found[:, 1], atol=1e-5)
    assert torch.allclose(mirrored[:, [0, 2]], found[:, [0, 2]], atol=1e-5)
    assert torch.allclose(found[:, 0], ((x + 1) / 2).mean(dim=(1, 2, 3)), atol=1e-6)
    assert (found.std(dim=0) > torch.tensor([0.03, 0.1, 0.15])).all()


def test_a_blank_image_has_no_measures_and_excess_counts_as_the_limit():
    assert torch.isnan(measures(torch.full((1, 1, 8, 8), -1.0))).all()
    x, _ = digits()
    over = x[:50].clone()
    over[over == 1] = 3.0
    over[over == -1] = -2.0
    assert torch.equal(measures(over), measures(x[:50]))


@pytest.mark.parametrize(
    ("half", "part"), [("top", (0, 0)), ("bottom", (7, 0)), ("left", (3, 1)), ("right", (3, 6))]
)
def test_a_hidden_half_says_nothing_of_the_digit(half, part):
    x, _ = digits()
    shown = half_hidden(x, half)
    assert shown.shape == (1797, 2, 8, 8)
    assert (shown[:, 1, part[0], part[1]] == 0).all()
    assert shown[:, 1].sum() == 1797 * 32
    hidden = shown[:, 1:] == 0
    assert (shown[:, :1][hidden] == 0).all()
    assert torch.equal(shown[:, :1][~hidden], x[~hidden])
    changed = x.clone()
    changed[hidden] = 0.5
    assert torch.equal(half_hidden(changed, half), shown)


def test_coarse_digits_are_means_of_squares():
    x, _ = digits()
    small = coarse(x)
    assert small.shape == (1797, 1, 4, 4)
    assert torch.allclose(small[5, 0, 1, 2], x[5, 0, 2:4, 4:6].mean())
    with pytest.raises(DataError, match="factor 3 does not divide a map of 8x8"):
        coarse(x, 3)
    with pytest.raises(DataError, match="hidden half 'botom', did you mean 'bottom'"):
        half_hidden(x, "botom")


def test_held_out_samples_are_a_share_of_each_label_and_never_trained_on():
    labels = digits()[1].numpy()
    train, test = held_out(labels, 0.2)
    assert sorted([*train, *test]) == list(range(1797))
    for label in range(10):
        assert (labels[test] == label).sum() == round(0.2 * (labels == label).sum())
    assert np.array_equal(held_out(labels, 0.2)[1], test)
    assert not np.array_equal(held_out(labels, 0.2, seed=1)[1], test)
    for share, message in [
        (0.0, "not between"),
        (1.0, "not between"),
        (0.001, "takes 0 of"),
        (0.999, "takes 178 of"),
    ]:
        with pytest.raises(DataError, match=message):
            held_out(labels, share)


@pytest.mark.parametrize(
    ("name", "shape", "classes", "modules"),
    [("wine", (178, 13), 3, 6), ("breast-cancer", (569, 30), 2, 10)],
)
def test_tables_are_standardised_and_their_modules_cover_every_feature_once(
    name, shape, classes, modules
):
    data = table(name)
    assert (data.x.shape, data.x.dtype, len(data.classes), len(data.modules)) == (
        shape,
        np.float32,
        classes,
        modules,
    )
    assert np.allclose(data.x.mean(axis=0), 0, atol=1e-5)
    assert np.allclose(data.x.std(axis=0), 1, atol=1e-5)
    assert set(data.labels.tolist()) == set(range(classes))
    places = np.concatenate(list(module_indices(data.modules, data.features).values()))
    assert sorted(places.tolist()) == list(range(shape[1]))
    assert ((data.x * data.std + data.mean)[:, 0] > 0).all()


def _row(row, column, value):
    x = np.random.default_rng(0).normal(size=(6, 3))
    x[row, column] = value
    return x


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (_row(4, 1, np.nan), r"row 4, 'b' is nan \(1 values"),
        (_row(2, 2, -np.inf), r"row 2, 'c' is -inf"),
        (_row(slice(None), 0, 0.1), "feature 'a' is 0.1 in every row"),
        (np.zeros((6, 2)), r"shape \(6, 2\); wanted is \(rows, 3\)"),
        (np.zeros((0, 3)), r"shape \(0, 3\)"),
    ],
)
def test_tables_that_cannot_be_standardised_name_row_and_feature(values, message):
    with pytest.raises(DataError, match=message):
        standardise(values, ("a", "b", "c"))


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        (
            {"one": ("ash", "hue", "colour")},
            "module 'one': no feature 'colour', did you mean 'color'",
        ),
        ({"one": ("ash", "hue")}, "1 features are in no module: color"),
        (
            {"one": ("ash", "hue"), "two": ("color", "ash")},
            "feature 'ash' is in module 'one' and in module 'two'",
        ),
        ({"one": ("ash", "hue", "color"), "two": ()}, "module 'two' has no features"),
    ],
)
def test_module_tables_that_do_not_fit_the_features_are_refused(modules, message):
    with pytest.raises(DataError, match=message):
        module_indices(modules, ("ash", "hue", "color"))


def test_an_unknown_table_names_the_known():
    with pytest.raises(DataError, match="no table 'wines', did you mean 'wine'"):
        table("wines")
