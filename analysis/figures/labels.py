"""Labels beside points, placed so that they cover neither each other, points nor whiskers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from analysis.figures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Directions in which a label may sit, best first, and how far off in points.
_ANGLES = (20, 160, -20, -160, 55, 125, -55, -125, 90, -90)
MOST = 60
_REACH = (7, 11, 17, 25)
_WIDE = 25  # half of a label's width in points
_RIM = 2.5  # points about a whisker
Box = tuple[float, float, float, float]


def label_points(
    ax: Axes,
    xs: Iterable[float],
    ys: Iterable[float],
    texts: Sequence[str],
    size: float = 7.5,
    whiskers: Iterable[tuple[float, float]] = (),
) -> None:
    """Write each text near its point (data coordinates); call last, for the layout is settled here.

    More than sixty points stay without labels. `whiskers` gives the ends of each point's, equal or
    missing for none.

    Greedy: every label takes the first place that overlaps nothing placed before, no point, no
    whisker, and stays inside the axes; where there is none, the place with the least overlap.
    Deterministic.
    """
    fig = ax.get_figure(root=True)
    if fig is None:
        return
    style.settle(fig)
    xs = list(xs)
    ys = list(ys)
    if len(xs) > MOST:  # no place is left, and none could be read
        return
    dots = [tuple(ax.transData.transform((x, y))) for x, y in zip(xs, ys, strict=True)]
    scale = fig.dpi / 72
    taken: list[Box] = [
        (px - 4 * scale, py - 4 * scale, px + 4 * scale, py + 4 * scale) for px, py in dots
    ]
    taken += [_box(child, fig) for child in ax.texts]
    owns = _whisker_boxes(ax, xs, whiskers, scale) or [None] * len(xs)
    taken += [own for own in owns if own]
    marks = [own or (*dot, *dot) for own, dot in zip(owns, dots, strict=True)]
    inside = ax.get_window_extent()
    frame = (inside.x0, inside.y0, inside.x1, inside.y1)
    for index, text in enumerate(texts):
        drawn = ax.annotate(
            style.clean(text, 24),
            (xs[index], ys[index]),
            (0, 0),
            textcoords="offset points",
            fontsize=size,
            color=style.INK,
            ha="center",
            va="center",
            zorder=5,
            path_effects=style.halo(),
        )
        base = _box(drawn, fig)
        places = _offsets(base, scale) + _about(owns[index], dots[index], base, scale)
        best = min(places, key=lambda o: _cost(_shift(base, o, scale), taken, index, frame, marks))
        drawn.set_position(best)
        taken.append(_shift(base, best, scale))


def _whisker_boxes(
    ax: Axes, xs: Sequence[float], whiskers: Iterable[tuple[float, float]], scale: float
) -> list[Box | None]:
    """Return the room that each whisker needs.

    A label's white rim on a whisker makes it look shorter than it is.
    """
    boxes: list[Box | None] = []
    for x, (low, high) in zip(xs, whiskers, strict=False):
        (px, bottom), (_, top) = ax.transData.transform([(x, low), (x, high)])
        rim = _RIM * scale
        boxes.append(
            (px - rim, bottom - rim, px + rim, top + rim) if high > low else None
        )  # nor where one is missing
    return boxes


def _about(
    own: Box | None, dot: tuple[float, float], base: Box, scale: float
) -> list[tuple[float, float]]:
    """Return the places beside the middle and beyond the ends of a point's own whisker."""
    if own is None:
        return []
    half_w = (base[2] - base[0]) / 2 / scale
    half_h = (base[3] - base[1]) / 2 / scale
    beside = [
        (side * (reach + half_w), up)
        for reach in (6, 9)
        for side in (1, -1)
        for up in (0.0, 5.0, -5.0)
    ]
    ends = (own[3] - dot[1]) / scale + half_h + 1, (own[1] - dot[1]) / scale - half_h - 1
    return beside + [(aside * half_w, end) for end in ends for aside in (0.0, 0.6, -0.6)]


def _offsets(base: Box, scale: float) -> list[tuple[float, float]]:
    half_w = (base[2] - base[0]) / 2 / scale
    half_h = (base[3] - base[1]) / 2 / scale
    places = []
    for reach in _REACH:
        if half_w > _WIDE:  # on a slant its end would lie on its own point
            places += [(reach + half_w, 0.0), (-reach - half_w, 0.0)]
        for angle in _ANGLES:
            c = math.cos(math.radians(angle))
            s = math.sin(math.radians(angle))
            places.append((c * (reach + half_w * abs(c)), s * (reach + half_h * abs(s))))
    return places


def _cost(box: Box, taken: list[Box], own: int, frame: Box, marks: list[Box]) -> float:
    away = [_distance(box, mark) for mark in marks]
    others = [d for i, d in enumerate(away) if i != own and marks[i] != marks[own]]
    cost = away[own] * 0.5
    if (
        others and min(others) < away[own] + 4
    ):  # a label that is nearer to another point names that one
        cost += 60 + 12 * (away[own] + 4 - min(others))
    for index, other in enumerate(taken):
        shared = _overlap(box, other)
        cost += shared * (0.6 if index == own else 1.0)
    out = (box[2] - box[0]) * (box[3] - box[1]) - _overlap(box, frame)
    return cost + 4 * max(0.0, out)


def _distance(a: Box, b: Box) -> float:
    return math.hypot(max(a[0] - b[2], 0, b[0] - a[2]), max(a[1] - b[3], 0, b[1] - a[3]))


def _overlap(a: Box, b: Box) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _shift(box: Box, offset: tuple[float, float], scale: float) -> Box:
    dx = offset[0] * scale
    dy = offset[1] * scale
    return box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy


def _box(artist: object, fig: object) -> Box:
    extent = artist.get_window_extent(fig.canvas.get_renderer())  # type: ignore[attr-defined]
    return extent.x0, extent.y0, extent.x1, extent.y1
