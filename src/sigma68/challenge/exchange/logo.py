"""A logo for a challenge that has none: an interval about its estimate."""

from __future__ import annotations

import io

__all__ = ["draw_logo"]


def draw_logo(pixels: int = 256) -> bytes:
    """A square PNG, `pixels` wide; always the same."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(pixels / 100, pixels / 100), dpi=100, facecolor="#1b2a41")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set(xlim=(-1, 1), ylim=(-1, 1))
    width = pixels / 40
    for x, y, reach in ((-0.05, 0.45, 0.55), (0.15, 0.0, 0.35), (-0.1, -0.45, 0.45)):
        axes.plot([x - reach, x + reach], [y, y], color="#f5f1e8", linewidth=width)
        axes.plot([x], [y], "o", color="#e69f00", markersize=2.6 * width)
    axes.plot([0, 0], [-0.85, 0.85], color="#56b4e9", linewidth=width / 2, zorder=0)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()
