"""The demo: three nodes, real data, one of them killed, nothing lost.

characters   the data: Unicode's named characters
traffic      writing and reading many entries, and what came of it
report       the figures, as a value
audience     whoever watches
story        what happens, in order
"""
