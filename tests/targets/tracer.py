"""Traces the threads of a process, given by their ids, without stopping them, until stdin is closed."""
import ctypes
import os
import sys

PTRACE_SEIZE = 0x4206

libc = ctypes.CDLL(None, use_errno=True)
for thread in sys.argv[1:]:
    if libc.ptrace(PTRACE_SEIZE, int(thread), None, None):
        sys.exit(os.strerror(ctypes.get_errno()))
print('ready')
sys.stdout.flush()
sys.stdin.read()
