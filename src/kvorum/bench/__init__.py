"""A closed-loop load generator for a running cluster: `kvorum bench`.

histogram     latencies in log buckets: small, mergeable, of known error
measurement   what a phase has seen: latencies and errors by kind
distribution  which entry is asked next: uniform, Zipfian, latest
workload      which operation is next: the YCSB core workloads
requests      an operation as the bytes of HTTP requests
connection    one HTTP/1.1 connection, one request at a time, callbacks only
driver        many connections, each asks again as soon as it is answered
processes     the same from several processes at once
machine       what a figure must be quoted with
report        the outcome as a JSON document and as a table
"""
