"""Pictures of the Earth: one port, three providers, sharp shorelines.

Everything is addressed in web-mercator pixels (`mercator`); `open_imagery` makes a
provider; `land_mask` is the shoreline all of them share. Credits travel as `.credit`.
"""

from groundtools.imagery.landmask import land_mask
from groundtools.imagery.open import open_imagery
from groundtools.imagery.port import Imagery, SeaMode
from groundtools.imagery.shared import shared_data_dir

__all__ = ["Imagery", "SeaMode", "land_mask", "open_imagery", "shared_data_dir"]
