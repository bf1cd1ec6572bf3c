"""The command line: `main` is the program, each sub-package a family of commands.

    servers      serve, up
    entries      set, touch, get, delete, import, export
    snapshots    snapshot
    upkeep       scrub, repair, rebuild, keys, namespace
    inspection   status, ring, locate
    trials       demo, bench, sim

Beside `main` lies what the families share: the options, the clients they describe, what is
printed. Families do not import each other, except that a restore stores what it reads as an
import does.

Commands are loaded when they are called, and each imports what it needs inside, so that
`kvorum --help` is quick and no command pays for another.
"""

from kvorum.cli.main import main as main
