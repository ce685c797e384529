"""What every source of pictures of the Earth offers: the port `Imagery`."""

from typing import Literal, Protocol, runtime_checkable

from groundtools.imagery.blocks import Pixels

SeaMode = Literal["flat", "raw", "half"]
"""How water is shown: one flat colour up to the shoreline, as photographed, or their mean.

Blue Marble paints the sea floor in, which no camera sees: hence "flat" by default.
"""


@runtime_checkable
class Imagery(Protocol):
    """A pyramid of web-mercator pixels (see `mercator`), level `native_level` the finest.

    name : short, for file names and tables; credit : who made the pictures, to be shown
    wherever a product of them is shown.
    """

    name: str
    credit: str
    native_level: int

    def read(self, x0: int, y0: int, x1: int, y1: int, *, level: int, sea: SeaMode | None = None) -> Pixels:
        """Return RGB pixels (y1 - y0, x1 - x0, 3) of a rectangle at `level`, 2 to native.

        x wraps around the world, rows beyond its ends are filled. `sea` None is the
        provider's own default.
        """
        ...

    def land(self, x0: int, y0: int, x1: int, y1: int, *, level: int) -> Pixels:
        """Return the land mask (y1 - y0, x1 - x0), 0 water to 255 land."""
        ...

    def valid(self, x0: int, y0: int, x1: int, y1: int, *, level: int) -> Pixels:
        """Return 255 where the source has a picture of its own, 0 where it is filled."""
        ...
