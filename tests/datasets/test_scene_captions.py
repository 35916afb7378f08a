"""Captions of drawn scenes are those of text scenes."""

from __future__ import annotations

import numpy as np
import pytest

from bindscope.datasets.captions import LEADS, default_templates
from bindscope.datasets.images.drawn import plan
from bindscope.datasets.images.vocabulary import scene_captions
from bindscope.errors import InputError


@pytest.mark.parametrize("m", [1, 2, 3])
@pytest.mark.parametrize("wording", range(len(LEADS)))
def test_captions_are_those_of_the_built_in_templates(m: int, wording: int) -> None:
    table = plan(f"clevr2d:3x2?m={m}&size=16").table
    phrases = [table.object_name(code) for code in range(table.n_objects)]
    template = default_templates(m, wording + 1)[wording]
    assert scene_captions(table, wording) == template.fill_codes(table.object_codes, phrases)


def test_captions_name_places_and_leave_out_who_is_absent() -> None:
    drawn = plan("clevr2d:2x2?m=2&singles=true&size=16")
    said = scene_captions(drawn.table, slots=drawn.slots)
    assert said[0] == "a red circle on the left and a red square on the right"
    assert scene_captions(drawn.table)[-1] == said[-1] == "a blue square"
    assert len(set(scene_captions(drawn.table))) == len(drawn.table)
    longest = plan("clevr2d:3x2?m=4&size=16&scenes=3")
    assert scene_captions(longest.table, slots=longest.slots)[0].count(" at the ") == 4
    assert np.all([caption.count(", ") == 2 for caption in scene_captions(longest.table)])


def test_a_wording_that_is_not_built_in_is_refused() -> None:
    with pytest.raises(InputError, match=r"wording must be in 0\.\.5, got 6"):
        scene_captions(plan("clevr2d:2x2?size=16").table, 6)
