"""Image folders: order, ADM's crop, and every file that is not a readable image named."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from dit_core.data.load import load_data
from dit_core.data.readers.images import centre_crop, read_image, scan
from dit_core.errors import DataError
from dit_core.study.science.science import Data


def _cfg(**fields):
    base = {
        "name": "x",
        "kind": "images",
        "channels": 3,
        "height": 16,
        "width": 16,
        "classes": 4,
        "images": 20,
    }
    return Data(**base | fields)


def test_order_is_by_class_then_name(make_folder):
    root = make_folder(20)
    (root / ".DS_Store").write_bytes(b"")
    listing = scan(root)
    assert listing.classes == ("class0", "class1", "class2", "class3")
    assert listing.files[:2] == ("class0/00000.png", "class0/00004.png")
    assert listing.labels.tolist() == [0] * 5 + [1] * 5 + [2] * 5 + [3] * 5


def test_crop_halves_by_box_then_resizes_then_cuts_the_centre():
    gradient = np.tile(np.arange(64, dtype=np.uint8) * 4, (64, 1))
    halved = np.tile(np.arange(2, 256, 8, dtype=np.uint8), (32, 1))
    assert np.array_equal(centre_crop(Image.fromarray(gradient), 32)[..., 0], halved)
    wide = np.zeros((32, 64), dtype=np.uint8)
    wide[:, 16:48] = 200
    assert (centre_crop(Image.fromarray(wide), 32) == 200).all()
    for shape in [(16, 16), (17, 33), (500, 375), (31, 64), (9, 100)]:
        assert centre_crop(Image.new("RGB", shape), 16).shape == (16, 16, 3)
    # A checkerboard of single pixels: the box filter gives mid-grey; bicubic from full size would
    # not be even.
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    assert np.ptp(centre_crop(Image.fromarray(board), 16)) == 0


def test_batches_equal_the_files(make_folder):
    root = make_folder(20)
    data = load_data(_cfg(), str(root))
    for _ in range(2):  # the second time from memory
        x, y = data.batch(np.array([7, 0]), np.arange(2), 0)
        with Image.open(root / "class1" / "00009.png") as image:
            wanted = torch.from_numpy(centre_crop(image, 16).copy()).permute(2, 0, 1) / 127.5 - 1
        assert torch.allclose(x[0], wanted, atol=1e-6)
        assert y.tolist() == [1, 0]
    assert load_data(_cfg(channels=1), str(root)).batch(np.array([7]), np.arange(1), 0)[
        0
    ].shape == (1, 1, 16, 16)


def test_jpeg_webp_and_alpha_are_read(tmp_path):
    (tmp_path / "a").mkdir()
    for name, mode in [
        ("1.JPG", "RGB"),
        ("2.webp", "RGB"),
        ("3.png", "RGBA"),
        ("4.png", "P"),
        ("5.jpeg", "L"),
    ]:
        Image.new(mode, (20, 20), 77 if mode in "PL" else (10, 20, 30)).save(tmp_path / "a" / name)
    data = load_data(_cfg(classes=1, images=5), str(tmp_path))
    assert data.batch(np.arange(5), np.arange(5), 0)[0].shape == (5, 3, 16, 16)


def test_contents_hash_notices_one_changed_pixel(make_folder):
    root = make_folder(20)
    digest = scan(root).sha256()
    assert len(load_data(_cfg(sha256=digest), str(root))) == 20
    path = root / "class2" / "00006.png"
    with Image.open(path) as image:
        image.putpixel((0, 0), (1, 2, 3))
        image.save(path)
    with pytest.raises(DataError, match="these are other data"):
        load_data(_cfg(sha256=digest), str(root))


def _damage(kind, path):
    content = path.read_bytes()
    if kind == "text":
        path.write_text("hello")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "wide":
        Image.fromarray(np.full((20, 20), 40_000, dtype=np.uint16)).save(path)
    else:
        path.write_bytes(content[: int(len(content) * float(kind))])


@pytest.mark.parametrize("kind", ["text", "empty", "0.05", "0.5", "0.9", "0.99", "wide"])
def test_a_file_that_does_not_decode_names_itself(kind, make_folder):
    root = make_folder(20)
    _damage(kind, root / "class1" / "00009.png")
    data = load_data(_cfg(), str(root))
    data.batch(np.array([6, 8]), np.arange(2), 0)
    with pytest.raises(DataError, match=r"class1/00009\.png: (does not decode|mode I)"):
        data.batch(np.arange(20), np.arange(20), 0)


def test_bit_flips_in_a_png_are_noticed(make_folder):
    path = make_folder(20) / "class1" / "00009.png"
    content = path.read_bytes()
    found = 0
    draw = np.random.default_rng(0)
    before = np.asarray(read_image(path))
    for _ in range(100):
        damaged = bytearray(content)
        damaged[draw.integers(len(content))] ^= 1 << draw.integers(8)
        path.write_bytes(damaged)
        try:
            # A flip that leaves every pixel as it was (a reserved bit) does no harm.
            found += np.array_equal(np.asarray(read_image(path)), before)
        except DataError:
            found += 1
    print(f"bit flips in a PNG noticed or harmless: {found} of 100")
    assert found == 100


def test_folders_that_are_no_classes_are_refused(make_folder, tmp_path):
    with pytest.raises(DataError, match="holds no class folder"):
        scan(tmp_path)
    root = make_folder(8)
    (root / "readme.txt").write_text("x")
    with pytest.raises(DataError, match="a file beside the class folders"):
        scan(root)
    (root / "readme.txt").unlink()
    (root / "class2" / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"class2/notes\.txt: not one of \.png"):
        scan(root)
    (root / "class2" / "notes.txt").unlink()
    (root / "class9").mkdir()
    with pytest.raises(DataError, match="class9: a class without images"):
        scan(root)


def test_a_study_that_says_otherwise_is_refused(make_folder):
    root = make_folder(20)
    with pytest.raises(DataError, match=r"data\.images is 21 but there are 20; write data:"):
        load_data(_cfg(images=21), str(root))
    with pytest.raises(DataError, match=r"data\.classes is 1000 but there are 4"):
        load_data(_cfg(classes=1000), str(root))
    with pytest.raises(DataError, match=r"data\.channels is 4"):
        load_data(_cfg(channels=4), str(root))
    oblong = load_data(_cfg(height=16, width=17), str(root))
    with pytest.raises(DataError, match=r"other shapes must be 16x17"):
        oblong.batch(np.arange(20), np.arange(20), 0)
