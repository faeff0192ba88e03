"""An ASGI application of coroutines: what uvicorn serves."""
import asyncio

from meeting import meet, spin


async def compute(rounds):
    await asyncio.sleep(0)
    return spin(rounds)  # computes


async def welcome(port):
    await asyncio.sleep(0)
    return meet(port)  # meets


async def welcome_in_thread(port):
    return await asyncio.get_running_loop().run_in_executor(None, meet, port)  # waits for a thread


async def answer(path):
    _, action, argument = path.split('/')
    handler = {'compute': compute, 'meet': welcome, 'thread': welcome_in_thread}[action]
    return await handler(int(argument))  # answers


async def application(scope, receive, send):
    if scope['type'] != 'http':
        raise NotImplementedError(scope['type'])
    body = str(await answer(scope['path'])).encode()
    headers = [(b'content-type', b'text/plain'), (b'content-length', str(len(body)).encode())]
    await send({'type': 'http.response.start', 'status': 200, 'headers': headers})
    await send({'type': 'http.response.body', 'body': body})
