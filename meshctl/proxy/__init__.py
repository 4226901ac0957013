"""The data plane: one worker process that accepts requests, sends them on and counts what happened.

`downstream` reads requests, `exchange` decides in nine named phases, `upstream` talks to endpoints through the pool
that each `endpoint` keeps. All of it runs in callbacks of one event loop: a request costs no task, no future and no
timer of its own.
"""
