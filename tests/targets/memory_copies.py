"""memory_copies.py: a fork that waits, then looks at all that its parent has made, and waits again.

Looking at an object counts a reference in it, which is what makes the page the fork's own. It writes the ids of the parent
and of the fork, as JSON.
"""
import json
import os
import sys
import time

# 30 MB and more: each is an object of its own.
shared = [str(number) for number in range(500000)]

fork = os.fork()
if fork == 0:
    time.sleep(1.5)
    for text in shared:
        pass
    time.sleep(2.5)
    os._exit(0)
sys.stdout.write(json.dumps({'parent': os.getpid(), 'fork': fork}) + '\n')
sys.stdout.flush()
os.waitpid(fork, 0)
