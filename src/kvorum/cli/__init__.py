"""The command line: `main` is the program, each sub-package a family of commands.

    servers      serve, up, down, restart
    entries      set, touch, get, delete, import, export
    snapshots    snapshot
    upkeep       scrub, repair, rebuild, clock, keys, namespace
    inspection   status, ring, locate
    trials       demo, bench, sim

Beside `main` lies what the families share: the options, the clients they describe, what is
printed. Families do not import each other, except that a restore stores what it reads as an
import does.

A module of commands is loaded when one of them is called, so that `kvorum --help` is quick.
"""

from kvorum.cli.main import main as main
