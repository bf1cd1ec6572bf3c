"""A cluster on this machine: its nodes are child processes that run `kvorum serve`.

layout     the directory a local cluster lives in
ports      its ports: which they are, and whether they are free
process    one node's process: start, readiness, end
wholeness  whether every node is ready, and owed nothing
cluster    all of them: start, restart what dies, stop
hold       which process runs the cluster in a directory
control    commands of other processes, while it runs
events     what happened, for whoever shows it
"""
