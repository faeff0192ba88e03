"""Runs a command under a seccomp filter that refuses one system call with EPERM: filtered.py NUMBER COMMAND..."""
import ctypes
import os
import struct
import sys

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 22, 38
SECCOMP_MODE_FILTER = 2
LOAD, JUMP_UNLESS, RETURN = 0x20, 0x15, 0x06
ALLOW, REFUSE = 0x7fff0000, 0x00050001

# The number of the system call is the first word that a filter gets to see.
program = b''.join(struct.pack('HBBI', *step) for step in [
    (LOAD, 0, 0, 0),
    (JUMP_UNLESS, 0, 1, int(sys.argv[1])),
    (RETURN, 0, 0, REFUSE),
    (RETURN, 0, 0, ALLOW),
])
steps = ctypes.create_string_buffer(program, len(program))


class Filter(ctypes.Structure):
    _fields_ = [('length', ctypes.c_ushort), ('steps', ctypes.c_void_p)]


libc = ctypes.CDLL(None, use_errno=True)
wanted = Filter(len(program) // 8, ctypes.addressof(steps))
for arguments in [(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(wanted), 0, 0)]:
    if libc.prctl(*arguments):
        sys.exit(os.strerror(ctypes.get_errno()))
os.execv(sys.argv[2], sys.argv[2:])
