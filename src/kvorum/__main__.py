"""`python -m kvorum`, the same as the program `kvorum`."""

from kvorum.cli import main

main(prog_name="kvorum")
