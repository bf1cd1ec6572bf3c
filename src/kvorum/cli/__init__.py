"""The command line: `main` is the program, one file per command or small family of them.

Commands are loaded when they are called, and each imports what it needs inside, so that
`kvorum --help` is quick and no command pays for another.
"""

from kvorum.cli.main import main as main
