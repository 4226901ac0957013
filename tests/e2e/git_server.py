"""A git server over HTTP, as a process: python git_server.py FOLDER. Passes requests to `git http-backend` as CGI.

Writes its port to stdout and serves until its stdin ends.
"""

from __future__ import annotations

import asyncio
import os
import sys

from aiohttp import web


async def backend(request: web.Request) -> web.StreamResponse:
    """One request as a CGI process (RFC 3875): headers as environment, body as stdin, stdout as the answer."""
    environ = os.environ | {
        "GIT_PROJECT_ROOT": sys.argv[1],
        "GIT_HTTP_EXPORT_ALL": "1",
        "REQUEST_METHOD": request.method,
        "PATH_INFO": request.path,
        "QUERY_STRING": request.query_string,
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
        "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        "REMOTE_USER": "tester",
    }
    if request.content_length is not None:
        environ["CONTENT_LENGTH"] = str(request.content_length)
    process = await asyncio.create_subprocess_exec(
        "git", "http-backend", env=environ, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    feeding = asyncio.ensure_future(feed(request, process.stdin))
    answer = web.StreamResponse()
    while (line := (await process.stdout.readline()).decode().rstrip("\r\n")) != "":
        name, _, value = line.partition(": ")
        if name == "Status":
            answer.set_status(int(value.split()[0]))
        else:
            answer.headers[name] = value
    await answer.prepare(request)
    while piece := await process.stdout.read(65536):
        await answer.write(piece)
    await feeding
    await process.wait()
    await answer.write_eof()
    return answer


async def feed(request: web.Request, stdin: asyncio.StreamWriter) -> None:
    """Pass the request's body on."""
    async for piece in request.content.iter_any():
        stdin.write(piece)
        await stdin.drain()
    stdin.close()


async def main() -> None:
    # git compresses requests itself and says so to the backend, which wants them as they came.
    made = web.Application()
    made.router.add_route("*", "/{any:.*}", backend)
    runner = web.AppRunner(made, access_log=None, auto_decompress=False)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
