"""What the model really saw: cut, equal, unknown, turned, deep, transparent and cropped input is counted and said."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bindscope.datasets import load_dataset
from bindscope.datasets.items import Items
from bindscope.embeddings import Embeddings, embed, load_embeddings, save_embeddings
from bindscope.embeddings.seen import sentences
from bindscope.encoders import load_encoder
from bindscope.encoders.base import Crop, Encoder, Vectors
from bindscope.encoders.pictures import picture_facts, read_image
from bindscope.errors import BindscopeWarning, StoreError, VectorsError
from encoders.tiny import save_clip

MINILM = "st:sentence-transformers/all-MiniLM-L6-v2"


def noted(encoder: Encoder, data: str) -> tuple[Embeddings, list[str]]:
    """Embeddings and the notes that making them gave."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = embed(encoder, load_dataset(data))
    return made, [str(one.message) for one in caught if issubclass(one.category, BindscopeWarning)]


class Texts(Encoder):
    """A checksum of each text as a vector; `bend` changes the vectors of a batch."""

    name = "texts"

    def __init__(
        self, bend: Callable[[Vectors, tuple[str, ...]], Vectors] | None = None, dtype: str = "float32"
    ) -> None:
        self.bend, self.dtype = bend, dtype

    def encode(self, items: Items) -> Vectors:
        texts = items.texts or ()
        rows = [np.random.default_rng(zlib.crc32(text.encode())).normal(size=6) for text in texts]
        found = np.array(rows, dtype=np.float32).reshape(len(texts), 6)
        return found if self.bend is None else self.bend(found, texts)

    def fidelity(self) -> dict[str, Any]:
        return {"architecture": "checksums", "dtype": self.dtype}


def test_nothing_is_said_of_input_that_reaches_the_model(tmp_path: Path) -> None:
    made, notes = noted(Texts(), "text:3x3")
    assert notes == []
    assert made.seen["unsteady"] == {}
    save_embeddings(made, tmp_path)
    assert load_embeddings(tmp_path).seen == made.seen
    made, notes = noted(load_encoder("planted:bag?dim=8"), "text:3x3")  # a bag's equal vectors are its truth
    assert notes == []
    assert made.seen["scenes"] == {"rows": 72}


def test_equal_captions_of_other_scenes_are_counted(tmp_path: Path) -> None:
    (tmp_path / "same.yaml").write_text('concepts:\n  shade: [light, "light blue"]\n  thing: ["blue cube", cube]\n')
    made, notes = noted(Texts(), f"text:{tmp_path}/same.yaml")
    texts = load_dataset(f"text:{tmp_path}/same.yaml").items.texts or ()
    expected = sum(texts.count(text) > 1 for text in texts)
    assert made.seen["scenes"]["same_input"] == expected > 0
    assert (
        f"texts: {expected} of 12 scenes have the same text, or the same tokens, as a scene that shows something"
        in notes[0]
    )
    assert "2 of 8 queries have the same text" in notes[1]
    again, _ = noted(Texts(), "text:2x2?replicates=2")  # replicates of a scene are the same scene
    assert again.seen["scenes"]["same_input"] == 0


def test_words_unknown_to_the_tokenizer_and_case_that_it_drops(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text('concepts:\n  color: [red, "\U0001f535", "\U0001f7e2"]\n  shape: [cube, ball]\n')
    made, notes = noted(load_encoder(MINILM), f"text:{tmp_path}/w.yaml")
    assert made.seen["scenes"]["words"] == ["\U0001f535", "\U0001f7e2"]
    assert any("hold words that the tokenizer does not know: \U0001f535, \U0001f7e2" in note for note in notes)
    assert made.seen["queries"]["unknown"] == 4 + 2
    (tmp_path / "c.yaml").write_text("concepts:\n  color: [red, Polish, polish]\n  shape: [cube, ball]\n")
    made, notes = noted(load_encoder(MINILM), f"text:{tmp_path}/c.yaml?keep_spellings=true")
    assert made.seen["queries"]["same_input"] == 4 + 2
    assert made.seen["scenes"]["same_input"] > 0


def test_captions_cut_at_the_length_of_a_sentence_encoder(tmp_path: Path) -> None:
    lines = 'concepts:\n  color: [red, blue]\n  shape: [cube, ball]\nscene: "a {object} is ' + "very " * 300
    (tmp_path / "long.yaml").write_text(lines + 'much a {object}"\nquery: "a {object}"\n')
    made, notes = noted(load_encoder(MINILM), f"text:{tmp_path}/long.yaml")
    assert (made.seen["scenes"]["cut"], made.seen["scenes"]["limit"]) == (12, 256)
    assert made.seen["scenes"]["same_input"] == 12  # what stood at the end is gone
    assert "12 of 12 scenes are longer than 256 tokens and lose their end" in notes[0]
    assert made.seen["queries"]["cut"] == 0


def test_an_encoder_that_tells_nothing_apart_is_refused() -> None:
    with pytest.raises(VectorsError, match=r"do not vary: all 12 vectors are equal"):
        embed(Texts(lambda found, texts: np.ones_like(found)), load_dataset("text:2x2"))
    # scenes of seven words differ, shorter queries do not
    same = Texts(lambda found, texts: np.where(np.array([len(t) > 15 for t in texts])[:, None], found, 1.0))
    with pytest.raises(
        VectorsError, match=r"one vector for all 4 object queries, such as '.*' and '.*'; check its tok"
    ):
        embed(same, load_dataset("text:2x2"))


@pytest.mark.parametrize(
    ("bend", "word", "message"),
    [
        (lambda found, texts: found[np.argsort(texts)], "order", "depend on the order of the rows"),
        (lambda found, texts: found - found.mean(axis=0), "alone", "depend on what else is in the batch"),
        (
            lambda found, texts: found[np.argsort(texts)] if len(texts) > 10 else found,
            "batch",
            "they depend on the batch",
        ),
        (lambda found, texts: found + np.random.default_rng().normal(size=found.shape), "again", "chance is at work"),
    ],
)
def test_vectors_that_depend_on_more_than_their_row(bend: Any, word: str, message: str) -> None:
    made, notes = noted(Texts(lambda found, texts: bend(found, texts).astype(np.float32)), "text:3x3")
    assert made.seen["unsteady"][word] > 0.01
    assert any(message in note for note in notes)
    assert len(notes) == len(set(notes))


def test_rounding_is_not_told() -> None:
    rough = Texts(lambda found, texts: found * np.float32(1 + 1e-5 * len(texts)))
    assert noted(rough, "text:3x3")[1] == []
    half = lambda found, texts: found * np.float32(1 + 1e-2 * (len(texts) == 1))  # noqa: E731
    assert noted(Texts(half, "torch.bfloat16"), "text:3x3")[1] == []
    assert "depend on what else is in the batch" in noted(Texts(half), "text:3x3")[1][0]


def test_a_declared_score_function_is_said_unless_lengths_are_equal() -> None:
    class Dot(Texts):
        def remarks(self) -> dict[str, str]:
            return {"score_function": "the model declares dot"}

    assert noted(Dot(), "text:3x3")[1] == ["texts: the model declares dot"]
    unit = Dot(lambda found, texts: found / np.linalg.norm(found, axis=1, keepdims=True))
    assert noted(unit, "text:3x3")[1] == []


Pixels = NDArray[np.uint8]


def write_rgb16(path: Path, pixels: NDArray[np.uint16]) -> None:
    """A PNG of 16 bit a channel, which pillow reads and does not write."""
    height, width, depth = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[depth], 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)


@pytest.fixture
def colours() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (6, 9, 3)).astype(np.uint8)


@pytest.mark.parametrize("tag", range(2, 9))
@pytest.mark.parametrize("ending", ["png", "tif", "webp"])
def test_pictures_are_turned_as_their_tag_says(tmp_path: Path, colours: Pixels, tag: int, ending: str) -> None:
    turn = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[tag]  # the transposition that undoes each tag's
    stored = Image.fromarray(colours).transpose(Image.Transpose(turn))
    exif = Image.Exif()
    exif[0x0112] = tag
    path = tmp_path / f"x.{ending}"
    stored.save(path, exif=exif, **({"lossless": True} if ending == "webp" else {}))
    assert np.array_equal(np.asarray(read_image(path)), colours)
    facts = picture_facts(path)
    assert (facts.width, facts.height, facts.turned) == (9, 6, True)


def test_deep_pictures_look_as_in_8_bit(tmp_path: Path, colours: Pixels) -> None:
    grey = colours[:, :, 0]
    expected = np.repeat(grey[:, :, None], 3, axis=2)
    made = {
        "16.png": (grey.astype(np.uint16) * 257, "16 bit"),
        "16.tif": (grey.astype(np.uint16) * 257, "16 bit"),
        "f1.tif": (grey.astype(np.float32) / 255, "float 0..1"),
        "f255.tif": (grey.astype(np.float32), "numbers 0..255"),
        "i255.tif": (grey.astype(np.int32), "numbers 0..255"),
        "i16.tif": (grey.astype(np.int32) * 257, "16 bit"),
    }
    for name, (numbers, depth) in made.items():
        Image.fromarray(numbers).save(tmp_path / name)
        assert np.array_equal(np.asarray(read_image(tmp_path / name)), expected), name
        assert picture_facts(tmp_path / name).depth == depth, name
    write_rgb16(tmp_path / "rgb16.png", colours.astype(np.uint16) * 257)
    assert np.array_equal(np.asarray(read_image(tmp_path / "rgb16.png")), colours)
    assert picture_facts(tmp_path / "rgb16.png").depth == "16 bit"
    Image.fromarray(colours).save(tmp_path / "plain.png")
    assert picture_facts(tmp_path / "plain.png").depth == ""
    for numbers in (np.full((4, 4), -1.0), np.full((4, 4), 1e6), np.full((4, 4), np.nan)):
        Image.fromarray(numbers.astype(np.float32)).save(tmp_path / "bad.tif")
        with pytest.raises(
            StoreError, match=r"its pixels are numbers from .* expected 0..1, 0..255 or 0..65535; save it"
        ):
            read_image(tmp_path / "bad.tif")


def test_transparency_shows_white_whatever_colour_is_hidden(tmp_path: Path, colours: Pixels) -> None:
    alpha = np.zeros((6, 9), dtype=np.uint8)
    alpha[:, :4] = 255
    expected = np.where(alpha[:, :, None] == 255, colours, 255)
    hidden = np.where(alpha[:, :, None] == 255, colours, 7).astype(np.uint8)
    for number, under in enumerate((colours, hidden)):
        Image.fromarray(np.dstack([under, alpha])).save(tmp_path / f"{number}.png")
        assert np.array_equal(np.asarray(read_image(tmp_path / f"{number}.png")), expected)
        assert picture_facts(tmp_path / f"{number}.png").transparent
    palette = Image.fromarray(colours).quantize(8)
    palette.save(tmp_path / "p.png", transparency=0)
    pixels = np.asarray(read_image(tmp_path / "p.png"))
    assert (pixels[np.asarray(palette) == 0] == 255).all()
    assert picture_facts(tmp_path / "p.png").transparent
    Image.fromarray(np.dstack([colours, np.full((6, 9), 255, dtype=np.uint8)])).save(tmp_path / "opaque.png")
    assert not picture_facts(tmp_path / "opaque.png").transparent


def test_animated_pictures_give_their_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    for name in ("a.gif", "a.png", "a.webp"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        assert picture_facts(tmp_path / name).animated, name
        assert np.asarray(read_image(tmp_path / name))[0, 0, 0] > 250
    frames[0].save(tmp_path / "still.gif")
    assert not picture_facts(tmp_path / "still.gif").animated


@pytest.mark.parametrize(
    ("crop", "size", "lost"),
    [
        (Crop(224, (224, 224)), (224, 224), (0.0, 0.0)),
        (Crop(224, (224, 224)), (300, 900), (0.0, 2 / 3)),
        (Crop(256, (224, 224)), (100, 100), (0.125, 0.125)),
        (Crop(None, (50, 50)), (100, 40), (0.5, 0.0)),
    ],
)
def test_share_that_a_crop_loses(crop: Crop, size: tuple[int, int], lost: tuple[float, float]) -> None:
    assert crop.lost(*size) == pytest.approx(lost)


def test_pictures_of_a_folder_are_counted(tmp_path: Path) -> None:
    rows = ["filename,object1_color,object1_shape,object2_color,object2_shape"]
    (tmp_path / "pics").mkdir()
    rng = np.random.default_rng(0)
    objects = [(color, shape) for color in ("red", "blue") for shape in ("cube", "ball")]
    exif = Image.Exif()
    exif[0x0112] = 6
    for number, (one, two) in enumerate((a, b) for a in objects for b in objects if a != b):
        pixels = rng.integers(0, 256, (96, 32, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pics" / f"{number}.png", exif=exif if number < 5 else None)
        rows.append(",".join((f"{number}.png", *one, *two)))
    (tmp_path / "pics" / "labels.csv").write_text("\n".join(rows) + "\n")
    made, notes = noted(load_encoder(f"hf:{save_clip(tmp_path / 'clip')}"), f"folder:{tmp_path}/pics")
    assert made.seen["pictures"] == {
        "files": 12, "opened_by": "bindscope", "cropped": 12, "width_lost": 0.667, "height_lost": 0.667, "turned": 5,
        "depth": {}, "transparent": 0, "animated": 0,
    }  # fmt: skip
    assert any("12 of 12 pictures lose up to 67 % of their width and 67 % of their height" in note for note in notes)
    assert any("5 of 12 pictures are turned by their EXIF tag; the turn was applied" in note for note in notes)


def test_an_encoder_that_opens_files_itself_is_told_what_they_are() -> None:
    counts = {"files": 3, "turned": 2, "opened_by": "the encoder"}
    (line,) = sentences({"pictures": counts})
    assert line.startswith("2 of 3 pictures are turned by their EXIF tag; the encoder opens the files itself")
    assert sentences({"pictures": {"files": 3, "cropped": 0}, "scenes": {"rows": 3, "cut": 0}}) == []
