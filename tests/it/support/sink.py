"""The sink of a plant: a process that keeps what the tasks' programs did, and outlives every one of them.

    sink.py FOLDER/journal

It reads lines from the pipe journal.in, in the order in which they were written, and keeps each in `journal` — or, when a
newer attempt of the task was heard before, in `journal.refused`. Nothing counts as kept before it is on the disk. A line
`SYNC` is answered with `SYNCED` on standard output once everything before it is kept.
"""

import os
import sys


def main(journal):
    # Open for both: it never ends, though no program may write at the moment.
    inbox = os.open(journal + ".in", os.O_RDWR)
    kept, refused = open(journal, "ab"), open(journal + ".refused", "ab")
    newest = {}
    rest = b""
    while True:
        *lines, rest = (rest + os.read(inbox, 65536)).split(b"\n")
        asked = lines.count(b"SYNC")
        for line in lines:
            if line == b"SYNC":
                continue
            _, task, attempt, *_ = line.split(b" ")
            attempt = int(attempt)
            fresh = attempt >= newest.get(task, attempt)
            if fresh:
                newest[task] = attempt
            (kept if fresh else refused).write(line + b"\n")
        for file in (kept, refused):
            file.flush()
            os.fsync(file.fileno())
        print("SYNCED\n" * asked, end="", flush=True)


main(sys.argv[1])
