"""A whole cluster in one thread: the real node code under simulated time, network and disk.

    run        one seed -> Report: a phase with faults, a phase without, then the checks
    parameters what a run is about: sizes, quorums, workload, fault rates
    draw       the parameters of a seed: from a swarm, with a story, with some healers or all
    world      the cluster; the only file here that puts a node together
    scheduler  simulated time; each node's Runtime
    clocks     what the nodes' wall clocks show
    wires      who is connected with whom; what each node's links are driven by
    network    what happens to bytes between two nodes
    healers    what brings copies together again, and which of it runs
    disk       what a crash leaves of a node's writes; each node's Store
    stacks     what lies between a node's journal and its disk: nothing, or the sealing
    holdings   what nodes hold of a key, seen from outside
    faults     what breaks, and when
    workload   seeded clients
    history    what the clients did and were told
    attribution which put made the version that an answer shows
    lineage    which write may have replaced which
    lifetimes  until when a value has to be seen
    checkers   what must hold of a history and of the state in the end
    expectations   the same of writes that state what they expect to find
    trace      one line per event and a running hash of them all

Everything that happens follows from the seed: same seed, same trace. The shape is that of
TigerBeetle's VOPR (inject the world, break it, heal it, then check), the idea of drawing
the set of faults anew for each seed is swarm testing (A. Groce et al., 2012).
"""
