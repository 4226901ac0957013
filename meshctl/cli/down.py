"""`meshctl down`: the end of what `meshctl up` has started."""

from __future__ import annotations

from typing import Annotated

from meshctl.cli.command import examples, timeout_option
from meshctl.cli.session import Session
from meshctl.errors import MeshError


@examples("""
    meshctl down
    meshctl down --timeout 10
""")
def down(
    session: Session,
    timeout: Annotated[float, timeout_option("How long to wait for it.")] = 60.0,
) -> None:
    """End what `meshctl up` has started, and only that.

    It is ended in reverse order; where nothing runs, the exit status is 4. What a killed `meshctl up` has left is
    ended, too."""
    from meshctl.sidecar import team_starting

    try:
        home = session.home()
    except MeshError as error:
        if error.code != "not_found":
            raise
        raise MeshError("not_running", "nothing runs here that `meshctl up` has started") from error
    ended = team_starting.down(home, timeout, session.terminal.say)
    session.terminal.say(f"ended {', '.join(ended)}" if ended else "all of it had ended already")
