"""Draws cat- and dog-like faces, so that the classifier has something real to learn without a data set to download.

What tells the two apart is shape (ears, eyes, muzzle, whiskers). Colour, coat, pose, light and background are drawn
from the same distribution for both, and some animals wear the other kind's ears, so no single feature decides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Point = tuple[float, float]
Colour = tuple[int, int, int]

SIZE = 128  # pixels of a picture's side
_SCALE = 2  # drawn larger, then reduced: smooth edges

_COATS: tuple[Colour, ...] = (
    (60, 50, 45),
    (120, 85, 55),
    (190, 140, 85),
    (225, 205, 175),
    (150, 150, 155),
    (215, 120, 50),
    (240, 238, 232),
    (85, 90, 100),
)


@dataclass(frozen=True, slots=True)
class Look:
    """Everything that is drawn, in units of the head's radius; made by `look()` from a seed.

    `dogness` runs from 0 (a plain cat) over 0.5 (neither) to 1 (a plain dog); `droop` is the same for the ears alone.
    """

    dogness: float
    droop: float
    coat: Colour
    other_coat: Colour
    width: float
    height: float
    ear: float
    gaze: Point
    tongue: bool
    stripes: int
    patch: Point | None
    background: str
    colours: tuple[Colour, Colour]
    centre: Point
    radius: float
    tilt: float
    light: Point
    blur: float
    grain: float
    seed: int


def look(kind: str, seed: int) -> Look:
    """The look of one `cat`, one `dog` or one `mixed` animal (which is neither); the same seed gives the same look."""
    rng = np.random.default_rng([seed, 1])
    slack = rng.uniform(0.0, 0.3)
    dogness = {"cat": slack, "dog": 1.0 - slack, "mixed": rng.uniform(0.47, 0.53)}[kind]
    droop = dogness
    if kind != "mixed" and rng.random() < 0.08:
        droop = 1.0 - dogness
    coat, other = (_COATS[i] for i in rng.choice(len(_COATS), 2, replace=False))
    uniform = rng.uniform
    return Look(
        dogness=float(dogness),
        droop=float(droop),
        coat=_shade(coat, uniform(0.8, 1.15)),
        other_coat=_shade(other, uniform(0.8, 1.15)),
        width=float(uniform(0.88, 1.12)),
        height=float(uniform(0.88, 1.08)),
        ear=float(uniform(0.8, 1.25)),
        gaze=(float(uniform(-0.16, 0.16)), float(uniform(-0.1, 0.12))),
        tongue=bool(dogness > 0.4 and rng.random() < 0.4),
        stripes=int(rng.integers(3, 6)) if rng.random() < 0.35 else 0,
        patch=(float(uniform(-0.6, 0.6)), float(uniform(-0.7, 0.1))) if rng.random() < 0.35 else None,
        background=str(rng.choice(["plain", "gradient", "stripes", "blobs", "noise"])),
        colours=(_any_colour(rng), _any_colour(rng)),
        centre=(float(uniform(0.42, 0.58)), float(uniform(0.46, 0.6))),
        radius=float(uniform(0.2, 0.29)),
        tilt=float(uniform(-22, 22)),
        light=(float(uniform(-0.35, 0.35)), float(uniform(-0.35, 0.35))),
        blur=float(uniform(0, 1.2)),
        grain=float(uniform(0, 9)),
        seed=seed,
    )


def draw(look: Look) -> Image.Image:
    """The picture of a look: RGB, `SIZE` by `SIZE` pixels."""
    side = SIZE * _SCALE
    picture = _background(look, side)
    pen = _Pen(ImageDraw.Draw(picture), look, side)
    _body(pen, look)
    _ears(pen, look)
    _head(pen, look)
    _eyes(pen, look)
    _muzzle(pen, look)
    small = picture.reduce(_SCALE).filter(ImageFilter.BoxBlur(look.blur))
    return _photograph(look, small)


class _Pen:
    """Draws in units of the head's radius around the head's centre, on axes tilted with the animal."""

    _CIRCLE = tuple((math.cos(i * math.tau / 28), math.sin(i * math.tau / 28)) for i in range(28))

    def __init__(self, canvas: ImageDraw.ImageDraw, look: Look, side: int) -> None:
        self._canvas = canvas
        self._x, self._y = look.centre[0] * side, look.centre[1] * side
        self._unit = look.radius * side
        self._cos, self._sin = math.cos(math.radians(look.tilt)), math.sin(math.radians(look.tilt))

    def _at(self, point: Point) -> Point:
        x, y = point[0] * self._unit, point[1] * self._unit
        return self._x + x * self._cos - y * self._sin, self._y + x * self._sin + y * self._cos

    def ellipse(self, centre: Point, width: float, height: float, fill: Colour) -> None:
        self.polygon([(centre[0] + width * x, centre[1] + height * y) for x, y in self._CIRCLE], fill)

    def polygon(self, points: list[Point], fill: Colour) -> None:
        self._canvas.polygon([self._at(point) for point in points], fill=fill)

    def line(self, points: list[Point], fill: Colour, width: float) -> None:
        thick = max(1, round(width * self._unit))
        self._canvas.line([self._at(point) for point in points], fill=fill, width=thick, joint="curve")


def _body(pen: _Pen, look: Look) -> None:
    pen.ellipse((look.gaze[0] * -0.5, 2.0), 1.0 * look.width, 1.35, _shade(look.coat, 0.9))


def _ears(pen: _Pen, look: Look) -> None:
    """Ears turn about their root from pointing up (a cat's) to hanging beside the cheek (a dog's), and grow rounder."""
    t = look.droop
    for side in (-1, 1):
        root = (side * look.width * (0.55 + 0.2 * t), -0.62 * look.height)
        angle = math.radians(-72 + t * 140)
        length = look.ear * (0.85 + 0.35 * t)
        tip = (root[0] + side * math.cos(angle) * length, root[1] + math.sin(angle) * length)
        across = (-math.sin(angle) * side, math.cos(angle))
        shapes = ((0.42 + 0.05 * t, 1.0, _shade(look.coat, 0.85)), (0.24, 0.8, _mix(look.coat, (225, 150, 150), 0.5)))
        for half, reach, fill in shapes if t < 0.6 else shapes[:1]:
            end = (root[0] + (tip[0] - root[0]) * reach, root[1] + (tip[1] - root[1]) * reach)
            pen.polygon(_ear_outline(root, end, across, half, t), fill)


def _ear_outline(root: Point, tip: Point, across: Point, half: float, roundness: float) -> list[Point]:
    """From one edge of the root over the tip to the other edge: a triangle at roundness 0, a lobe at 1."""
    points = []
    for i in range(-8, 9):
        along = 1 - abs(i) / 8
        triangle = (1 - along) * half
        lobe = half * math.sqrt(max(0.0, 1 - along**2.5))
        wide = (triangle * (1 - roundness) + lobe * roundness) * (1 if i > 0 else -1)
        points.append(
            (
                root[0] + (tip[0] - root[0]) * along + across[0] * wide,
                root[1] + (tip[1] - root[1]) * along + across[1] * wide,
            )
        )
    return points


def _head(pen: _Pen, look: Look) -> None:
    t = look.dogness
    pen.ellipse((0, 0), look.width * (1.02 - 0.1 * t), look.height * (0.9 + 0.1 * t), look.coat)
    for i in range(look.stripes):
        x = (i - (look.stripes - 1) / 2) * 0.2 + look.gaze[0]
        pen.line([(x, -0.82), (x * 0.9, -0.5)], _shade(look.other_coat, 0.7), 0.07)
    if look.patch:
        pen.ellipse(look.patch, 0.3, 0.34, look.other_coat)


def _eyes(pen: _Pen, look: Look) -> None:
    t, (gx, gy) = look.dogness, look.gaze
    iris = _mix((150, 190, 70), (95, 60, 35), t)
    for side in (-1, 1):
        eye = (side * 0.4 + gx, -0.18 + gy)
        pen.ellipse(eye, 0.22 - 0.05 * t, 0.16 + 0.01 * t, iris)
        pen.ellipse(eye, 0.05 + 0.08 * t, 0.15 - 0.02 * t, (15, 15, 15))
        pen.ellipse((eye[0] - 0.04, eye[1] - 0.05), 0.03, 0.03, (245, 245, 245))


def _muzzle(pen: _Pen, look: Look) -> None:
    """A cat's small nose between whiskers grows into a dog's long muzzle with a broad nose."""
    t, (gx, gy) = look.dogness, look.gaze
    x, y = gx * 1.4, 0.28 + gy * 1.2
    dark = (40, 30, 30)
    pen.ellipse((x, y + 0.12 + 0.1 * t), 0.3 + 0.14 * t, 0.2 + 0.22 * t, _mix(look.coat, (250, 240, 225), 0.55))
    if look.tongue:
        pen.ellipse((x + 0.05, y + 0.55), 0.14, 0.22, (225, 105, 120))
    nose, tall = 0.1 + 0.13 * t, 0.08 + 0.06 * t
    if t < 0.5:
        pen.polygon([(x - nose, y - tall), (x + nose, y - tall), (x, y + tall)], _mix((205, 120, 125), dark, 2 * t))
    else:
        pen.ellipse((x, y), nose, tall, dark)
    mouth = y + 0.22 + 0.2 * t
    for side in (-1, 1):
        pen.line([(x, y + tall), (x, mouth - 0.06), (x + side * 0.2, mouth)], dark, 0.035)
        for i in (-1, 0, 1):
            reach = 0.85 * (1 - t)
            if reach > 0.3:
                start = (x + side * 0.22, y + 0.1 + i * 0.06)
                pen.line([start, (start[0] + side * reach, start[1] + i * 0.16 - 0.03)], (235, 235, 230), 0.03)


def _background(look: Look, side: int) -> Image.Image:
    rng = np.random.default_rng([look.seed, 2])
    first, second = look.colours
    picture = Image.new("RGB", (side, side), first)
    if look.background == "gradient":
        mask = Image.linear_gradient("L").resize((side, side)).rotate(float(rng.integers(4)) * 90)
        picture.paste(Image.new("RGB", (side, side), second), (0, 0), mask)
    pen = ImageDraw.Draw(picture)
    if look.background == "stripes":
        step, slope = int(rng.integers(14, 40)), int(rng.integers(-60, 60))
        for x in range(-side, 2 * side, 2 * step):
            pen.line((x, 0, x + slope, side), fill=second, width=step)
    elif look.background == "blobs":
        for _ in range(int(rng.integers(4, 14))):
            across, down, radius = rng.uniform(0, side), rng.uniform(0, side), rng.uniform(0.04, 0.2) * side
            box = (across - radius, down - radius, across + radius, down + radius)
            pen.ellipse(box, fill=_any_colour(rng))
    elif look.background == "noise":
        grain = rng.normal(0, 28, (side // 4, side // 4, 1))
        pixels = np.clip(np.asarray(first) + grain, 0, 255).astype(np.uint8)
        picture = Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)
    return picture


def _photograph(look: Look, picture: Image.Image) -> Image.Image:
    """Light from one side and the sensor's grain."""
    rng = np.random.default_rng([look.seed, 3])
    ramp = np.linspace(-1, 1, SIZE, dtype=np.float32)
    light = 1 + look.light[0] * ramp[None, :] + look.light[1] * ramp[:, None]
    pixels = np.asarray(picture, dtype=np.float32) * light[:, :, None]
    pixels += rng.standard_normal((SIZE, SIZE, 1), dtype=np.float32) * look.grain
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _any_colour(rng: np.random.Generator) -> Colour:
    r, g, b = (int(v) for v in rng.integers(20, 236, 3))
    return r, g, b


def _shade(colour: Colour, factor: float) -> Colour:
    r, g, b = (min(255, round(v * factor)) for v in colour)
    return r, g, b


def _mix(one: Colour, two: Colour, share: float) -> Colour:
    """`share` of the second colour in the first."""
    share = min(1.0, max(0.0, share))
    r, g, b = (round(a * (1 - share) + b * share) for a, b in zip(one, two, strict=True))
    return r, g, b
