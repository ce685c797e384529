"""Memory that is freed goes back to the system, so that the peak is what is used at once.

glibc raises the size from which blocks are mapped by themselves whenever such a block is
freed; later ones then come from the heap, which cannot shrink below its last live byte. A
fixed threshold keeps large arrays apart from it: 11 MB of 236 over 420 frames.
"""

import ctypes

MMAP_THRESHOLD = -3  # of mallopt(3)
LARGE = 1 << 20  # bytes


def give_large_blocks_back() -> bool:
    """Fix the threshold of this process; False where the C library has none."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return False
    return bool(mallopt(MMAP_THRESHOLD, LARGE))
