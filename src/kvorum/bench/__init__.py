"""A closed-loop load generator for a running cluster: `kvorum bench`.

plan          all that defines a run
distribution  which entry is asked next: uniform, zipfian, latest
values        what is written
requests      an operation as the bytes of HTTP requests
workload      which operation is next: the YCSB core workloads
connection    one HTTP/1.1 connection, one request at a time, callbacks only
lane          one caller: asks again as soon as it is answered
driver        many lanes, until the run is over
phases        load, then run
processes     a run from several processes at once
histogram     latencies in log buckets: small, mergeable, of known error
measurement   latencies and errors by kind of operation
reasons       errors in few words
machine       what a figure must be quoted with
report        the outcome as a document
"""
