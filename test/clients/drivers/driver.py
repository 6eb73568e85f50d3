# The loop of the Python drivers: reads a JSON object from each line of stdin, lets the client do it, and prints what
# came of it as one line. A client names its operations by the methods that it has.
import asyncio
import json
import sys


def notice(**fields):
    print(json.dumps(fields), flush=True)


def text_of(content):
    """Returns the texts of a result, as a model gets them."""
    return "\n".join(getattr(part, "text", "") or "" for part in content)


class Updates:
    """The URIs of notifications, one at a time."""

    def __init__(self):
        self.queue = asyncio.Queue()

    def put(self, uri):
        self.queue.put_nowait(str(uri))

    async def next(self):
        return {"uri": await asyncio.wait_for(self.queue.get(), 10)}


async def abandoned(call, after_ms):
    """Cancels a call that has not ended by then."""
    task = asyncio.ensure_future(call)
    done, _ = await asyncio.wait([task], timeout=after_ms / 1000)
    if done:
        raise RuntimeError(f"the call ended by itself: {task.exception() or task.result()}")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return {}


async def loop(client):
    notice(ready=True)
    reader = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        request = json.loads(line)
        method = getattr(client, request.pop("op"), None)
        if method is None:
            notice(unsupported=True)
            continue
        try:
            notice(**await method(**request))
        except Exception as error:  # What a program of this client would meet is the finding.
            notice(failed=f"{type(error).__name__}: {error}")


def main(serve):
    """Runs `serve(url, loop)`, which connects a client and passes it to the loop."""
    asyncio.run(serve(sys.argv[1], loop))
