"""The Python client: one asynchronous implementation and a synchronous face over it.

Some modules serve the embedded store, too: those that are made of a store's own few calls.

options      how a client asks: timeout, quorums, repeats, ...
url          kvorum://host:port,host:port?option=value
security     TLS and credentials, as options
environment  the cluster that is asked where the program does not say which
contexts     clusters that a user has given names
access       the TLS context and the authorization of a client, made of files
handshake    why TLS was not agreed upon
values       Python value <-> JSON text
serializers  values that JSON cannot hold, as bytes
entry        what a read returns
conflicts    which value a read returns of several
lifetime     how long an entry is to live
listing      pages of a listing, and what it could not read
requests     the HTTP API, outgoing: pure values
answers      the HTTP API, incoming: entries and typed errors
connection   one HTTP/1.1 connection
pool         the connections to one server
server       one server: its connections, and whether it is suspected
ring         who owns a key, as the servers tell it
survey       asking them for it, beside the calls
servers      which server to ask first
failures     what became of a call's attempts, and which of it to tell
default_quorum  how many replicas have to answer where a call does not say so
backoff      how long to wait before asking again
retryable_writes  what became of a write without an answer, and whether it is repeated
representation  what repr shows
calls        one call: attempts, failover, repeats, one deadline
bulk         many entries: requests of bounded size, several in flight
questions    what bulk asks about entries
refusals     a server's refusals, in the terms of the client's arguments
caller       what the asynchronous client's methods stand on
defaults     what holds for calls that say nothing else
many_keys    its calls about many keys, or about those with a prefix
composed     methods made of a store's own calls, as coroutines
update       the rules of reading, changing and writing
budget       the time that the requests of one call share
blocking     the same methods for stores that block
mapping      a part of a store as a dict
asynchronous, synchronous   the two faces: the second one's methods are made of the first one's
loop_thread  where they run
"""
