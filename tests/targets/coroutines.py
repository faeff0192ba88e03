"""coroutines.py by-hand|asyncio|idle-loop: coroutines and asynchronous generators (3.6 and later)."""
import asyncio
import sys

try:
    from _thread import start_new_thread
except ImportError:
    pass

from witness import Chain, arrive, watch

chain = Chain()
onward = chain.onward


class Awaitable:
    def __await__(self):
        onward()
        yield


class Asynchronous:
    async def __aenter__(self):
        onward()

    async def __aexit__(self, *_):
        pass

    def __aiter__(self):
        return self

    async def __anext__(self):
        onward()


def drive(coroutine):
    try:
        while True:
            coroutine.send(None)
    except StopIteration:
        pass


@chain.link
def plain():
    async def inner():
        onward()

    async def outer():
        await inner()
    drive(outer())


@chain.link
def awaitable():
    async def outer():
        await Awaitable()
    drive(outer())


@chain.link
def asynchronous_with():
    async def outer():
        async with Asynchronous():
            pass
    drive(outer())


@chain.link
def asynchronous_for():
    async def outer():
        async for _ in Asynchronous():
            pass
    drive(outer())


@chain.link
def asynchronous_generator():
    async def generator():
        yield 1
        yield onward()

    async def outer():
        async for _ in generator():
            pass
    drive(outer())


@chain.link
def asynchronous_comprehension():
    async def generator():
        yield 1

    async def outer():
        return [onward() async for _ in generator()]
    drive(outer())


async def inner_task():
    await asyncio.sleep(0)
    onward()


async def outer_task():
    await asyncio.gather(inner_task(), asyncio.sleep(100000))


async def idle():
    await asyncio.sleep(0)
    # From here the loop's own poll is the only place to stand; a sleeping task is not on any stack.
    arrive(inside='select', text='.poll(')
    await asyncio.sleep(100000)


def run(coroutine):
    asyncio.new_event_loop().run_until_complete(coroutine)


if sys.argv[1] == 'by-hand':
    onward()
elif sys.argv[1] == 'asyncio':
    chain.links = []
    run(outer_task())
else:
    start_new_thread(watch, ())
    run(idle())
