"""memory_pool.py map|imap: a pool of four that was started by a fork, and the way in which it gets its work.

`map` makes a list of all of it first, `imap` takes it one by one. At the end it writes the ids of the parent and of the
four, as JSON.
"""
import json
import multiprocessing
import os
import sys
import time

# Shared with the workers until they write to it.
shared = [str(number) for number in range(300000)]


def count(text):
    return os.getpid(), len(text)


def texts():
    for number in range(300000):
        yield ('%d' % number) * 40


if __name__ == '__main__':
    time.sleep(0.3)
    context = multiprocessing.get_context('fork')
    with context.Pool(4) as pool:
        # All four are there before there is work.
        workers = [worker.pid for worker in pool._pool]
        time.sleep(0.3)
        if sys.argv[1] == 'map':
            results = pool.map(count, texts(), chunksize=500)
            total = sum(length for _, length in results)
        else:
            total = sum(length for _, length in pool.imap(count, texts(), chunksize=500))
        time.sleep(1.5)
    print(json.dumps({'parent': os.getpid(), 'workers': workers, 'total': total}))
