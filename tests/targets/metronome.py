"""metronome.py: three functions, one after the other, half, three tenths and a fifth of every 10 milliseconds by the clock's
own grid: a sampler that keeps step with it always sees the same one. Runs until stdin ends."""
import os
import threading
import time

from testimony import report

clock = getattr(time, 'perf_counter', time.time)
CYCLE = 0.01


def half(end):
    while clock() < end:
        pass


def three_tenths(end):
    while clock() < end:
        pass


def fifth(end):
    while clock() < end:
        pass


def main():
    while True:
        start = clock() // CYCLE * CYCLE
        half(start + 0.5 * CYCLE)
        three_tenths(start + 0.8 * CYCLE)
        fifth(start + CYCLE)


def serve():
    os.read(0, 1)
    os._exit(0)


server = threading.Thread(target=serve)
server.daemon = True
server.start()
report([])
main()
