"""How far from the best possible, in words."""

from __future__ import annotations

from sigma68.report.best_words import best_in_words, kind_in_words, listed, ratio_in_words
from sigma68.score.best_widths import OverBest, OverKind

STATISTICS = OverKind("statistics", 0.5, 1.2, 0.012, 1.3, 0.04)
NORMALISATIONS = OverKind("normalisations", 0.6, 1.0, None, None, None)


def test_one_kind() -> None:
    said = best_in_words(OverBest((), (), (STATISTICS,)), "GeV")
    assert said == (
        "The narrowest intervals that these events allow are 0.500 GeV wide on average "
        "(statistics only): those here are 1.200 ± 0.012 times as wide, rescaled to cover 68.27% "
        "1.300 ± 0.040 times. At 1 nothing is left to gain."
    )


def test_both_kinds_and_what_is_taken_as_known() -> None:
    said = best_in_words(OverBest(("a", "b"), ("c", "d", "e"), (STATISTICS, NORMALISATIONS)))
    assert "With a and b fitted within their constraints they are 0.600 wide on average" in said
    assert "(normalisations fitted): those here are 1.000 times as wide." in said
    assert "but c, d and e vary too, which the narrowest intervals take as known" in said
    one = best_in_words(OverBest(("a",), ("c",), (STATISTICS, NORMALISATIONS)))
    assert "With a fitted within its constraint" in one
    assert "but c varies too" in one
    assert "where it matters no method comes down to 1" in one


def test_words_of_its_parts() -> None:
    assert kind_in_words(STATISTICS) == "statistics only"
    assert ratio_in_words(STATISTICS) == ("1.200 ± 0.012", "1.300 ± 0.040")
    assert ratio_in_words(NORMALISATIONS) == ("1.000", "–")
    assert listed(["a"]) == "a"
