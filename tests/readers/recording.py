"""Reads recordings as docs/recording.md describes them, and by nothing else: recording.py FILE... writes a line of JSON
for each. It shares no code with rspy, so that both show what the page says. Needs `compression.zstd` (Python 3.14)."""
import json
import struct
import sys
import zlib
from compression import zstd

MAGIC = b'\x89rspy\r\n\x1a'
MOST = 64 << 20
METADATA, STRINGS, FRAMES, STACKS, PROCESSES, THREADS, PROCESS_CHANGES, THREAD_CHANGES, SAMPLES, LOST, PROGRESS, SAMPLED, MEMORY = range(1, 14)
REASONS = ['memory unreadable', 'inconsistent stack', 'exited while read', 'permission denied', 'recorded too slowly']
KINDS = {0: None, 1: '[cut]', 2: '[truncated]', 3: '<gc>', 4: '<waits for the GIL>'}
KINDS.update((16 + number, '[lost: %s]' % reason) for number, reason in enumerate(REASONS))


class Body:
    """The bytes of a section or a column, read from the first one on."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def __bool__(self):
        return self.at < len(self.data)

    def byte(self):
        self.at += 1
        return self.data[self.at - 1]

    def take(self, length):
        self.at += length
        assert self.at <= len(self.data), 'it ends too early'
        return self.data[self.at - length:self.at]

    def number(self):
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7f) << shift
            if byte < 0x80:
                return value
            shift += 7

    def signed(self):
        value = self.number()
        return value >> 1 ^ -(value & 1)

    def optional(self):
        value = self.number()
        return value - 1 if value else None

    def text(self):
        return self.take(self.number()).decode('utf-8')


def blocks(file):
    """The sections of each whole block, one string of bytes; then whether the file ends there."""
    while True:
        head = file.read(12)
        if not head:
            return
        if len(head) < 12:
            raise EOFError
        length, size, checksum = struct.unpack('<III', head)
        if length > MOST or size > MOST:
            raise EOFError
        compressed = file.read(length)
        if len(compressed) < length or zlib.crc32(head[:8] + compressed) != checksum:
            raise EOFError
        sections = zstd.decompress(compressed)
        assert len(sections) == size
        yield sections


class Recording:
    def __init__(self, file):
        assert file.read(8) == MAGIC, 'no recording'
        self.version = struct.unpack('<HH', file.read(4))
        assert self.version[0] == 1, 'another format'
        self.metadata = None
        self.strings = ['']
        self.frames = []
        self.stacks = [None]
        self.sampled = []
        self.processes = []
        self.threads = []
        self.samples = []
        self.memory = []
        self.lost = dict.fromkeys(REASONS, 0)
        self.lost_of = []
        self.until = self.missed = 0
        self.ending = 'unfinished'
        self.blocks = 0
        try:
            for sections in blocks(file):
                self.block(Body(sections))
                self.blocks += 1
        except EOFError:
            self.ending = 'broken'

    def block(self, sections):
        while sections:
            tag = sections.byte()
            body = Body(sections.take(sections.number()))
            if tag == METADATA:
                self.metadata = json.loads(body.data)
                if self.blocks:
                    self.ending = 'whole'
            elif tag == SAMPLES:
                self.add_samples(body)
            elif tag == MEMORY:
                self.add_memory(body)
            elif tag == PROGRESS:
                self.until, self.missed = body.number(), body.number()
            else:
                while body and METADATA < tag <= SAMPLED:
                    self.row(tag, body)

    def row(self, tag, body):
        if tag == STRINGS:
            self.strings.append(body.text())
        elif tag == FRAMES:
            self.frames.append(self.frame(body))
        elif tag == STACKS:
            caller = len(self.stacks) - body.number()
            self.stacks.append((caller, body.number()))
        elif tag == PROCESSES:
            self.processes.append(self.process(body))
        elif tag == THREADS:
            self.threads.append(self.thread(body))
        elif tag == PROCESS_CHANGES:
            number = body.number()
            self.processes[number] = self.process(body)
        elif tag == THREAD_CHANGES:
            number = body.number()
            self.threads[number] = self.thread(body)
        elif tag == LOST:
            process, reason, count = body.optional(), REASONS[body.byte()], body.number()
            self.lost[reason] += count
            self.lost_of.append([process, reason, count])
        elif tag == SAMPLED:
            self.sampled.append(body.number())

    def frame(self, body):
        kind = body.byte()
        if kind:
            return {'kind': KINDS[kind]}
        frame = {'kind': None, 'name': self.strings[body.number()], 'file': self.strings[body.number()],
                 'short_file': self.strings[body.number()], 'line': body.optional(), 'first_line': body.optional(),
                 'columns': None}
        first = body.optional()
        if first is not None:
            frame['columns'] = [first, body.optional(), body.number()]
        return frame

    def process(self, body):
        return {'pid': body.number(), 'parent': body.optional(), 'command_line': self.strings[body.number()]}

    def thread(self, body):
        process, os_id = body.number(), body.optional()
        has_python_id, python_id = body.number(), body.number()
        name = body.optional()
        return {'process': process, 'os_id': os_id, 'python_id': python_id if has_python_id == 1 else None,
                'name': None if name is None else self.strings[name]}

    def add_samples(self, body):
        count = body.number()
        times, threads, stacks, states, weights = [Body(body.take(body.number())) for _ in range(5)]
        last = {}
        at = thread = 0
        for _ in range(count):
            at += times.signed()
            thread += threads.signed()
            stack = stacks.number()
            if stack:
                last[thread] = self.sampled[stack - 1]
            state = states.byte()
            parts = [[None, False, True][state >> shift & 3] for shift in (0, 2, 4, 6)]
            self.samples.append([at, thread, last[thread], *parts, weights.number()])

    def add_memory(self, body):
        at = 0
        last = {}
        while body:
            at += body.signed()
            process = body.number()
            last[process] = last.get(process, 0) + body.signed()
            self.memory.append([at, process, last[process] * 1024])

    def as_json(self):
        return json.dumps({key: value for key, value in vars(self).items() if key != 'strings'})


for name in sys.argv[1:]:
    with open(name, 'rb') as opened:
        print(Recording(opened).as_json())
