"""The first thing that a wrapped Python app imports, because `sidecar wrap` puts this folder in its PYTHONPATH: it
installs what joins outgoing calls to incoming traces, and then makes way for the app's own sitecustomize, if it has
one. It runs in the app's Python, whichever that is, so it may import nothing of meshctl's; and whatever goes wrong
here, the app must not notice.
"""

from __future__ import annotations

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))


def _install() -> None:
    try:
        import meshctl_trace_hook

        meshctl_trace_hook.install()
    except Exception:
        pass


def _make_way() -> None:
    """Import the sitecustomize that would have been found without this one, in this one's place, as if it had been."""
    ours = sys.modules.pop(__name__, None)
    try:
        __import__(__name__)
    except ImportError as error:
        if ours is not None:
            sys.modules[__name__] = ours
        if error.name != __name__:
            raise


_install()
sys.path[:] = [each for each in sys.path if os.path.abspath(each) != _HERE]
if __name__ == "sitecustomize":
    _make_way()
