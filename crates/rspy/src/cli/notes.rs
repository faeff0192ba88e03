//! What `--help` says behind the options: examples, and exit codes.

pub const GENERAL: &str = "\
Commands may be abbreviated: `rspy rec`. `rspy COMMAND --help` shows the options of one, with examples.

Environment:
  RUST_LOG=info      say on stderr what rspy finds and does; or debug, or trace
  RUST_LOG=rspy_process=debug
                     the same of a part of rspy
  NO_COLOR=1         no colours

Exit codes:
  0  done
  1  failed; what went wrong and what to do is on stderr
  2  the command line is wrong";

pub const RECORD_USAGE: &str = "rspy record [OPTIONS] --pid <PID>
       rspy record [OPTIONS] -- <COMMAND>...";

pub const RECORD_NOTES: &str = "\
Examples:
  rspy record -o profile.svg --pid 12345
  rspy record -d 30 -f raw -o stacks.txt --pid 12345
  rspy record -d 30 --mode gil --threads -o gil.svg --pid 12345
  rspy record -d 30 --gil-wait -o waits.svg --pid 12345
  rspy record -d 30 --subprocesses --summary figures.json -o tree.svg --pid 12345
  rspy record -d 30 --include 'app/*' --hide-importlib -o app.svg --pid 12345
  rspy record -o profile.svg -- python program.py --its-options

A COMMAND may start Python through a shell, a pyenv shim, a script or another launcher: the first \
Python in it or below it is recorded. rspy then writes its own messages to stderr, so that stdout is \
the program's alone. When the duration is over, and at Control-C, the program is ended; SIGTERM, \
SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 sent to rspy are passed on to it.

Exit codes:
  0  the recording is written, and the COMMAND has succeeded or rspy ended it
  1  failed; what went wrong and what to do is on stderr
  2  the command line is wrong
  N  the recording is written; the COMMAND ended by itself with exit code N,
     or by a signal: then N is 128 plus its number";

pub const TOP_USAGE: &str = "rspy top [OPTIONS] --pid <PID>
       rspy top [OPTIONS] -- <COMMAND>...
       rspy top [OPTIONS]";

pub const TOP_NOTES: &str = "\
Examples:
  rspy top --pid 12345
  rspy top --subprocesses --pid 12345
  rspy top --once --window 2 --pid 12345
  rspy top --json --pid 12345
  rspy top -- python program.py --its-options

Without a process and a COMMAND, on a terminal, the Python processes of this machine are listed to choose from. \
? shows what keys do. Where stdout is no terminal, and with TERM=dumb, a screen of text is written each second. \
A COMMAND reads nothing and what it writes is not shown; it is ended with rspy.

Environment:
  NO_COLOR=1         no colours
  LC_ALL, LC_CTYPE, LANG
                     without UTF-8 in the first that is set, only ASCII is drawn

Exit codes:
  0  done
  1  failed; what went wrong and what to do is on stderr
  2  the command line is wrong
  N  the COMMAND ended by itself with exit code N, or by a signal: then N is 128 plus its number";

pub const DUMP_NOTES: &str = "\
Examples:
  rspy dump --pid 12345
  rspy dump --pid 12345 --json

Exit codes:
  0  the stacks are written
  1  failed; what went wrong and what to do is on stderr
  2  the command line is wrong";

pub const REPORT_NOTES: &str = "\
Examples:
  rspy record -d 30 -o app.rspy --pid 12345
  rspy report app.rspy
  rspy report app.rspy --from 10s --to 20s --threads -o profile.svg
  rspy report app.rspy --mode gil -f speedscope -o gil.json
  rspy report app.rspy app.1.rspy -f raw
  rspy report after.rspy --diff before.rspy --by function
  rspy report after.rspy --diff before.rspy -o changes.svg

Exit codes:
  0  the report is written
  1  failed; what went wrong and what to do is on stderr
  2  the command line is wrong";

pub const LINES_USAGE: &str = "rspy lines [OPTIONS] <FILE>...
       rspy lines [OPTIONS] --pid <PID>
       rspy lines [OPTIONS] -- <COMMAND>...";

pub const LINES_NOTES: &str = "\
Examples:
  rspy lines -d 10 --pid 12345
  rspy lines app.rspy
  rspy lines app.rspy --function 'Session.*'
  rspy lines app.rspy --mode cpu --json
  rspy lines -- python program.py --its-options

The time of a line includes that of what it calls. That a line has none does not say that it was not executed.

Exit codes:
  0  the lines are written
  1  failed; what went wrong and what to do is on stderr
  2  the command line is wrong
  N  the COMMAND ended by itself with exit code N, or by a signal: then N is 128 plus its number";

pub const MEMORY_USAGE: &str = "rspy memory [OPTIONS] --pid <PID>
       rspy memory [OPTIONS] -- <COMMAND>...
       rspy memory [OPTIONS] <FILE>...";

pub const MEMORY_NOTES: &str = "\
Examples:
  rspy memory -d 30 --pid 12345
  rspy memory -o memory.svg -- python program.py --its-options
  rspy memory -f flamegraph -o growth.svg -d 30 --pid 12345
  rspy record --memory -o app.rspy -d 60 --pid 12345
  rspy memory app.rspy --function load
  rspy memory --tracemalloc=traceback -d 10 --pid 12345

What is resident is asked with each sample; what processes share, which the kernel has to count, once a second at most, and \
less often of large ones. A line made memory grow if it ran meanwhile: what is taken from memory that Python kept is not seen.

Exit codes:
  0  it is written
  1  failed; what went wrong and what to do is on stderr
  2  the command line is wrong
  N  the COMMAND ended by itself with exit code N, or by a signal: then N is 128 plus its number";

pub const STATS_USAGE: &str = "rspy stats [OPTIONS] <FILE>...
       rspy stats [OPTIONS] --pid <PID>
       rspy stats [OPTIONS] -- <COMMAND>...";

pub const STATS_NOTES: &str = "\
Examples:
  rspy stats -d 10 --pid 12345
  rspy stats app.rspy --sort tottime
  rspy stats app.rspy --function 'app.py.*load' --callers
  rspy stats --json -- python program.py --its-options

ncalls are the calls that samples tell apart: a lower bound. tottime and cumtime include the time in which a thread \
waits, as cProfile's do; --mode cpu leaves that out. For pstats itself: rspy record -f pstats.

Exit codes:
  0  the table is written
  1  failed; what went wrong and what to do is on stderr
  2  the command line is wrong
  N  the COMMAND ended by itself with exit code N, or by a signal: then N is 128 plus its number";

pub const HEAP_NOTES: &str = "\
Examples:
  rspy heap --pid 12345
  rspy heap --pid 12345 --pause
  rspy heap --pid 12345 --sort count --rows 0
  rspy heap --pid 12345 --why Session
  rspy heap --pid 12345 --retained -o heap.svg
  rspy heap --pid 12345 --advise
  rspy heap save app.heap --pid 12345
  rspy heap app.heap --type Session --values
  rspy heap diff before.heap after.heap

The heap is copied (only what is in memory: the program's RSS does not grow) and then looked through: rspy needs as much \
memory as the program for a moment. The program goes on; with --pause it is stopped while its heap is copied.

Exit codes:
  0  it is written
  1  failed; what went wrong and what to do is on stderr
  2  the command line is wrong";

pub const TIME_USAGE: &str = "rspy time [OPTIONS] [--] <COMMAND>...";

pub const TIME_NOTES: &str = "\
Examples:
  rspy time -- python program.py --its-options
  rspy time --function 'Session.send' -- python program.py
  rspy time --repeat 5 --warmup 1 -- python program.py
  rspy time --repeat 5 --vs 'python program.py --other' -- python program.py

What one run used is told with the functions that the time went to, for which it is sampled; with --repeat and --vs nothing but the \
times is taken. What is said goes to stderr, since stdout is the command's.

Exit codes:
  0  done, and the COMMAND has succeeded
  1  failed; what went wrong and what to do is on stderr
  2  the command line is wrong
  N  the COMMAND ended with exit code N, or by a signal: then N is 128 plus its number. Of several runs, of the last \
that failed";

pub const COMPLETIONS_NOTES: &str = "\
Examples:
  rspy completions bash > ~/.local/share/bash-completion/completions/rspy
  rspy completions zsh > \"${fpath[1]}/_rspy\"
  rspy completions fish > ~/.config/fish/completions/rspy.fish";
