"""The cases with the package websockets. argv: the URL. A line for each: `passed NAME` or `FAILED NAME: why`."""

import asyncio
import sys

from websockets.asyncio.client import connect

url = sys.argv[1]


async def echo(socket):
    await socket.send("héllo")
    assert await socket.recv() == "héllo"
    await socket.send(bytes([0, 1, 255]))
    assert await socket.recv() == bytes([0, 1, 255])


async def fragmentation(socket):
    await socket.send(["one ", "two ", "three"])
    assert await socket.recv() == "one two three"


async def ping_and_pong(socket):
    await (await socket.ping(b"xyz"))
    await socket.send("ping me")
    assert await socket.recv() == "pong of abc"


async def close_of_server(socket):
    await socket.send("close 4321 so long")
    await socket.wait_closed()
    assert (socket.close_code, socket.close_reason) == (4321, "so long"), socket.close_code


async def close_of_client(socket):
    await socket.close(3001, "enough")
    assert socket.close_code == 3001, socket.close_code


async def large(socket):
    big = b"weft" * (4 << 20)
    await socket.send(big)
    assert await socket.recv() == big


async def deflate(socket):
    assert [each.name for each in socket.protocol.extensions] == ["permessage-deflate"]
    text = "compressible " * 80_000
    await socket.send(text)
    assert await socket.recv() == text


async def main():
    cases = {
        "echo": echo,
        "fragmentation": fragmentation,
        "ping and pong, both ways": ping_and_pong,
        "close code of the server": close_of_server,
        "close code of the client": close_of_client,
        "16 MB": large,
        "per-message deflate untouched": deflate,
    }
    for name, act in cases.items():
        try:
            async with asyncio.timeout(30):
                async with connect(url, max_size=64 << 20, proxy=None) as socket:
                    await act(socket)
            print(f"passed {name}", flush=True)
        except Exception as error:
            print(f"FAILED {name}: {type(error).__name__} {error}", flush=True)


asyncio.run(main())
