from hypothesis import given
from hypothesis import strategies as st

from signals_assets.core.coverage import Coverage

counts = st.integers(0, 1000)


@st.composite
def balanced(draw):
    parts = [draw(counts) for _ in range(5)]
    return Coverage(
        asked=sum(parts), answered=parts[0], refused=parts[1], rejected=parts[2], failed=parts[3],
        skipped={"late": parts[4]},
    )  # fmt: skip


@given(balanced(), balanced())
def test_adding_keeps_every_item_accounted_for(one, other):
    total = one + other
    assert total.asked == total.answered + total.refused + total.rejected + total.failed + sum(total.skipped.values())
    assert total.asked == one.asked + other.asked


def test_nothing_asked_has_no_share():
    assert Coverage().share is None


def test_the_flat_form_names_reasons():
    flat = Coverage(asked=3, answered=1, skipped={"too_short": 2}, notes={"without_user": 1}).as_dict()
    assert flat["skipped.too_short"] == 2
    assert flat["notes.without_user"] == 1
