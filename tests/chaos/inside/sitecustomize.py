"""The first thing each attacked process imports: the clock on the wall, set forwards or back for all of them at once by
what stands in the file $CHAOS_CLOCK. Nobody sets the machine's own clock, which others need, and OpenSSL goes by that.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from pathlib import Path

if "CHAOS_CLOCK" in os.environ and Path(os.environ["CHAOS_CLOCK"]).exists():
    with open(os.environ["CHAOS_CLOCK"], "r+b") as _file:
        _jump = mmap.mmap(_file.fileno(), 8)
    _wall = time.time
    time.time = lambda: _wall() + struct.unpack_from("d", _jump)[0]
