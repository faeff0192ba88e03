"""memory_workers.py COUNT: forks so many workers that share 40 MB with it and take 1 to 5 MB each; says `ready`, and ends
with its stdin.
"""
import os
import sys
import time

shared = bytearray(b'x' * 40000000)
workers = []
for number in range(int(sys.argv[1])):
    pid = os.fork()
    if pid == 0:
        own = bytearray(b'y' * (1000000 * (1 + number % 5)))
        shared[0:4096 * number:4096] = b'z' * number
        time.sleep(1000)
        os._exit(0)
    workers.append(pid)
print('ready', flush=True)
sys.stdin.read()
for pid in workers:
    os.kill(pid, 9)
    os.waitpid(pid, 0)
