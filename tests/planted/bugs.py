"""Planted bugs: small wrong changes of the source that the simulator or a test must catch.

Each is a mistake that somebody could make in earnest: a lost line, a wrong comparison, a
shortcut that looks as if it saved something. `hunt.py` hunts them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Bug:
    name: str
    breaks: str
    file: str
    """Relative to the package."""
    old: str
    """Occurs exactly once in the file."""
    new: str
    seeds: int
    """Within how many seeds, from 0 on, the simulator must catch it."""
    missed: str = ""
    """Why, as far as known, the simulator does not catch it yet; empty if it must."""
    caught_by: str = ""
    """The file of tests that must fail with it, where the simulator does not run that code."""

    def plant(self, source: str) -> str:
        """`source`, the text of the bug's file, with the bug in it."""
        found = source.count(self.old)
        if found != 1:
            raise ValueError(
                f"The text that {self.name} replaces is {found} times in {self.file}, and not "
                f"once; bring the bug up to date:\n{self.old}"
            )
        return source.replace(self.old, self.new)


BUGS: Final = (
    # Values: what a record knows
    Bug(
        "latest-timestamp-wins",
        "a merge keeps only the sibling with the latest timestamp",
        "model/record.py",
        "    kept.sort(key=_dot)\n    return Record(join((a.context, b.context)), tuple(kept))",
        "    kept = sorted(kept, key=_recency)[-1:]\n"
        "    return Record(join((a.context, b.context)), tuple(kept))",
        20,
    ),
    Bug(
        "covers-off-by-one",
        "a context covers one dot more than it has seen",
        "model/record.py",
        "return event.counter >= dot.counter",
        "return event.counter >= dot.counter - 1",
        20,
    ),
    Bug(
        "delete-without-a-dot",
        "a delete leaves no event in the context, so replicas with the value win the merge",
        "model/record.py",
        "return Record(join((record.context, seen, (dot,))), tuple(_kept(record, seen)))",
        "return Record(join((record.context, seen)), tuple(_kept(record, seen)))",
        150,
    ),
    Bug(
        "join-keeps-the-lower-counter",
        "the join of two contexts forgets what only one of them has seen",
        "model/record.py",
        "event.counter > known.counter",
        "event.counter < known.counter",
        25,
    ),
    Bug(
        "write-ignores-its-version",
        "a write replaces all that its coordinator holds, whatever version it carries",
        "model/record.py",
        "    kept = _kept(record, seen)\n",
        "    kept = _kept(record, record.context)\n",
        20,
    ),
    Bug(
        "write-forgets-its-version",
        "a write leaves out of its context the version it carries",
        "model/record.py",
        "return Record(join((record.context, seen, (dot,))), tuple(kept))",
        "return Record(join((record.context, (dot,))), tuple(kept))",
        25,
    ),
    Bug(
        "merge-drops-common-versions",
        "a merge drops what both sides hold, as if each had replaced the other's",
        "model/record.py",
        "if v.dot in dots_of_a or not covers(a.context, v.dot)]",
        "if not covers(a.context, v.dot)]",
        30,
    ),
    Bug(
        "merge-keeps-the-replaced",
        "a merge keeps versions that the other side has replaced",
        "model/record.py",
        "kept = [v for v in a.versions if not covers(b.context, v.dot)]",
        "kept = [v for v in a.versions if v.dot not in {w.dot for w in b.versions}]",
        40,
    ),
    Bug(
        "longer-context-wins",
        "the record whose context has more entries is taken for the one that knows more",
        "model/record.py",
        "    if dominates(a.context, b.context):\n        return a\n",
        "    if len(a.context) > len(b.context):\n        return a\n",
        75,
    ),
    # Identity
    Bug(
        "same-actor-after-a-crash",
        "a node that crashed reuses the dots it may have forgotten",
        "storage/identity.py",
        "replace(self, incarnation=self.incarnation + 1, counter=0)",
        "replace(self, counter=self.counter)",
        20,
    ),
    Bug(
        "counter-jumps-after-a-crash",
        "a node that crashed goes on as the same actor, with a counter far ahead",
        "storage/identity.py",
        "replace(self, incarnation=self.incarnation + 1, counter=0)",
        "replace(self, counter=self.counter + 1_000_000)",
        500,
    ),
    Bug(
        "counter-restarts-after-a-stop",
        "an actor goes on after a clean stop, but counts from 0 again",
        "storage/identity.py",
        "return msgspec.structs.replace(self, clean=False)",
        "return msgspec.structs.replace(self, clean=False, counter=0)",
        60,
    ),
    Bug(
        "clean-for-ever",
        "a node that has once stopped in order takes each later crash for such a stop",
        "storage/identity.py",
        "return msgspec.structs.replace(self, clean=False)",
        "return self",
        75,
    ),
    Bug(
        "wall-clock-dots",
        "dots are counted by the wall clock, which jumps back and is read twice in one instant",
        "replica/authorship.py",
        "        self.counter += 1\n",
        "        self.counter = now_ms\n",
        30,
    ),
    # A node's own store
    Bug(
        "ack-before-sync",
        "a node counts a write as stored before its log is synced",
        "replica/local_replica.py",
        "        self.store.put(key, data, done, arg)\n",
        "        self.store.put(key, data, ignore, None)\n"
        "        self._runtime.call_soon(done, arg, None)\n",
        50,
    ),
    Bug(
        "known-is-taken-for-durable",
        "a record that is here already is acknowledged at once, though it may not be synced yet",
        "replica/local_replica.py",
        "            self.expiries.see_all(merged)\n"
        "        self._put_sound(key, held, data, done, arg)\n",
        "            self.expiries.see_all(merged)\n"
        "        if data == held:\n"
        "            self._runtime.call_soon(done, arg, None)\n"
        "        else:\n"
        "            self.put(key, held, data, done, arg)\n",
        3500,
    ),
    Bug(
        "failed-store-goes-on",
        "a node whose disk failed goes on to coordinate writes on what the disk let it keep",
        "replica/local_replica.py",
        "if self.store.failed is not None:",
        "if False:",
        1000,
        missed="what the disk refused is still in the memtable, so it is built on",
    ),
    Bug(
        "overwrite-for-merge",
        "a replica replaces its record by the one that comes in",
        "replica/local_replica.py",
        "merged = merge(incoming, self._decoded(key, held))",
        "merged = incoming",
        20,
    ),
    Bug(
        "op-numbers-restart",
        "operations are numbered from 0 in each life: an ack for the last life counts in this one",
        "operations/operations.py",
        "self._last_op = runtime.rng.getrandbits(62)",
        "self._last_op = 0",
        1000,
    ),
    Bug(
        "owners-by-asker",
        "each node puts itself first among a key's owners, so blind writes have many coordinators",
        "cluster/view.py",
        "        made = ReplicaSet(epoch=self.epoch, natural=owners)\n",
        "        owners = tuple(sorted(owners, key=self.local.__ne__))\n"
        "        made = ReplicaSet(epoch=self.epoch, natural=owners)\n",
        100,
    ),
    # Replicas
    Bug(
        "replica-acks-before-sync",
        "a replica acknowledges a write that a crash can still take from it",
        "replication/replica_server.py",
        "        self._replica.merge_into(key, held, record, self._on_durable, (node, message.op))",
        "        self._replica.merge_into(key, held, record, lambda _arg, _error: None, None)\n"
        "        self._on_durable((node, message.op), None)",
        1000,
    ),
    Bug(
        "base-not-compared",
        "a replica stores a write as it is, though it was made from another record than its own",
        "replication/replica_server.py",
        "if message.base == digest(held) and (",
        "if message.base and (",
        40,
    ),
    Bug(
        "refusal-acks",
        "a replica whose disk failed acknowledges all the same",
        "replication/replica_server.py",
        "self._refuse(node, op, error)\n        elif op:",
        "self._operations.transport.send(node, Wrote(op))\n        elif op:",
        400,
    ),
    Bug(
        "anything-is-the-same",
        "a replica says that it holds the same record whenever it holds any",
        "replication/replica_server.py",
        "if digest(data) == message.digest:",
        "if data:",
        20,
    ),
    # Quorums
    Bug(
        "tally-counts-twice",
        "a repeated acknowledgement counts as another replica's",
        "model/tally.py",
        "        if node in acked:\n            return\n",
        "",
        550,
    ),
    Bug(
        "tally-one-short",
        "a write is done with one replica less than it needs",
        "model/tally.py",
        "if count >= self._needed:",
        "if count >= self._needed - 1:",
        50,
    ),
    Bug(
        "failures-count",
        "replicas that failed count towards the quorum",
        "model/tally.py",
        "            self._judge(details)\n\n    # How it stands\n",
        "            self.won = len(details.failed) + len(self.acked) >= self._needed\n\n"
        "    # How it stands\n",
        60,
    ),
    # Time
    Bug(
        "deadline-never-fires",
        "an operation that nobody answers waits for ever",
        "runtime/deadlines.py",
        "            self._expire(item)\n",
        "            pass\n",
        50,
    ),
    Bug(
        "timer-not-armed-again",
        "once a deadline has passed, those behind it in the queue never do",
        "runtime/deadlines.py",
        "self._runtime.call_later(max(queue[0][0] - now, 0.0), self._sweep, timeout_ms)",
        "pass",
        50,
    ),
    # Expiry
    Bug(
        "expired-is-shown",
        "a read shows whatever has not been expired yet",
        "replication/read.py",
        "return visible(record, self._operations.clocks)",
        "return record",
        20,
    ),
    Bug(
        "expires-too-soon",
        "a second of lifetime is half a second",
        "model/expiry.py",
        "now_ms + seconds * 1000 if",
        "now_ms + seconds * 500 if",
        150,
    ),
    Bug(
        "swept-but-not-expired",
        "the sweep walks the store and leaves all as it is",
        "repair/sweep.py",
        "remove_expired(self._replica, records)",
        "records",
        20,
    ),
    Bug(
        "wrong-clock-expires",
        "the sweep goes by the node's own clock, whatever the others' show",
        "replica/expiry.py",
        "        due_ms = self._clocks.now_ms() - SKEW_MS\n"
        "        return due_ms if self._soonest <= due_ms and self._clocks.may_remove else None",
        "        due_ms = self._clocks._runtime.wall_ms() - SKEW_MS\n"
        "        return due_ms if self._soonest <= due_ms else None",
        700,
    ),
    Bug(
        "clock-is-trusted-unseen",
        "a clock counts as shared by all that were heard of, whatever theirs show",
        "cluster/clocks.py",
        "1 + len(ahead) - before - after >= self._majority",
        "1 + len(ahead) >= self._majority",
        20,
    ),
    # Touches
    Bug(
        "touch-drops-a-sibling",
        "a touch keeps the latest of several siblings only",
        "replication/change.py",
        "        for version in reversed(live):\n",
        "        for version in live[:1]:\n",
        200,
    ),
    Bug(
        "touch-keeps-the-old-expiry",
        "a touch makes new versions that expire when the old ones did",
        "replication/change.py",
        "version.kind, version.value, expires)",
        "version.kind, version.value, version.expires)",
        45,
    ),
    # Equal values
    Bug(
        "repeat-of-what-was-replaced",
        "a value written again keeps its version, though the writer has seen that replaced",
        "replication/change.py",
        "holds_just(base, request) and dominates(base.context, seen):",
        "holds_just(base, request):",
        200,
    ),
    Bug(
        "repeat-of-what-was-seen",
        "a value written again keeps its version if the writer has seen that, whatever else it saw",
        "replication/change.py",
        "holds_just(base, request) and dominates(base.context, seen):",
        "holds_just(base, request) and covers(seen, base.versions[0].dot):",
        200,
    ),
    Bug(
        "repeat-of-a-sibling",
        "siblings resolved with the value of one of them stay as they are",
        "replication/change.py",
        "    if len(base.versions) != 1:\n        return False\n",
        "    if not base.versions:\n        return False\n",
        50,
    ),
    Bug(
        "repeat-that-nobody-confirmed",
        "a blind write of the value that is here keeps its version, whatever others have seen",
        "replication/coordination.py",
        "            if how == ALONE:\n",
        "            if how is not None:\n",
        750,
    ),
    # Namespaces and sizes
    Bug(
        "namespaces-share-keys",
        "a key is the same entry in all namespaces",
        "cluster/view.py",
        "storage_key(token, namespace, data), replicas",
        'storage_key(token, "default", data), replicas',
        50,
    ),
    Bug(
        "replicas-of-another-namespace",
        "keys of all namespaces have as many owners as those of the default one",
        "cluster/view.py",
        "            replicas = known or self._strict_set(partition, settings.rule)\n",
        '            rule = catalog.namespaces["default"].rule\n'
        "            replicas = self._strict_set(partition, rule)\n",
        50,
    ),
    Bug(
        "merged-is-too-large",
        "what merged into more than a coordinator makes can be neither resolved nor deleted",
        "replication/change.py",
        "        if not beside:\n            return\n",
        "        beside = [len(v.value) for v in base.versions]\n",
        300,
    ),
    # Preconditions
    Bug(
        "precondition-ignored",
        "If-Match and If-None-Match are not checked",
        "replication/change.py",
        "        _check(request, base, live, reach)\n",
        "",
        20,
    ),
    Bug(
        "refused-write-is-made",
        "a write whose precondition failed is refused, and made all the same",
        "replication/coordination.py",
        "        record, answer = self._changes.apply(request, place, base, reach)\n",
        "        try:\n"
        "            record, answer = self._changes.apply(request, place, base, reach)\n"
        "        except KvorumError as error:\n"
        "            if error.code != 'precondition_failed':\n"
        "                raise\n"
        "            reply(Failure.of(error))\n"
        "            reply = repr\n"
        "            request = msgspec.structs.replace(request, expect=ANY)\n"
        "            record, answer = self._changes.apply(request, place, base)\n",
        20,
    ),
    Bug(
        "older-version-is-exact",
        "If-Match takes a version for the one that is there if that one covers it",
        "replication/change.py",
        "request.seen != base.context:",
        "not all(covers(base.context, event) for event in request.seen or ()):",
        25,
    ),
    Bug(
        "precondition-asks-nobody",
        "a precondition trusts its coordinator's own record",
        "model/leaderless.py",
        "if not isinstance(request, Put) or request.expect != ANY:",
        "if not isinstance(request, Put):",
        800,
    ),
    Bug(
        "absent-sees-the-expired",
        "If-None-Match takes for something what has expired and is not expired yet",
        "replication/change.py",
        "expect == ABSENT and live.versions:",
        "expect == ABSENT and base.versions:",
        50,
    ),
    # Forwarding
    Bug(
        "forward-sent-twice",
        "a write is sent to its coordinator twice, and coordinated twice",
        "replication/forward.py",
        "        self._operations.transport.send(self.coordinator, Forward(self._op, request))\n",
        "        self._operations.transport.send(self.coordinator, Forward(self._op, request))\n"
        "        self._operations.transport.send(self.coordinator, Forward(self._op, request))\n",
        20,
    ),
    Bug(
        "lost-forward-is-none",
        "a forwarded write without an answer is said to have changed nothing",
        "replication/forward.py",
        'outcome="unknown"',
        'outcome="none"',
        20,
    ),
    # Writes
    Bug(
        "short-write-is-none",
        "a write that reached too few replicas is said to have changed nothing",
        "replication/write.py",
        'outcome="unknown"',
        'outcome="none"',
        20,
    ),
    Bug(
        "own-write-counts-at-once",
        "the coordinator counts itself before its own log is synced",
        "replication/write.py",
        'self._replica.put(self._place.key, held or b"", data, self._on_stored, self._view.local)',
        'self._replica.put(self._place.key, held or b"", data, ignore, None)\n'
        "        self._operations.runtime.call_soon(self._on_stored, self._view.local, None)",
        60,
    ),
    Bug(
        "own-failure-counts",
        "the coordinator counts itself though its store refused the write",
        "replication/write.py",
        "            self._tally.give_up(owner)\n            self._settle()\n",
        "            self._tally.ack(owner)\n            self._settle()\n",
        400,
    ),
    Bug(
        "refused-write-counts",
        "a replica that refused a write counts as one that has it",
        "replication/write.py",
        "        elif kind is Refused:\n            self._miss(node)\n",
        "        elif kind is Refused:\n            self._tally.ack(node)\n",
        600,
    ),
    Bug(
        "no-hint-at-the-deadline",
        "a replica that did not answer in time is owed no hint",
        "replication/write.py",
        "            self._owe(owner)\n        if not self._replied:\n",
        "        if not self._replied:\n",
        250,
    ),
    Bug(
        "no-hint-at-all",
        "owners that missed a write are owed nothing, and take themselves for settled",
        "replication/write.py",
        "            self._hints.add(owner, self._place.key)\n",
        "            pass\n",
        250,
    ),
    # Hints
    Bug(
        "hint-erased-though-newer",
        "a hint is erased by the ack of a record that a newer one has followed meanwhile",
        "handoff/hints.py",
        "if held is not None and digest(held) != sent:",
        "if held is None:",
        1,
        caught_by="replication/test_hints.py",
    ),
    Bug(
        "hint-dropped-before-its-ack",
        "a hint is erased when its record has been sent",
        "handoff/hint_replay.py",
        "        question.ask(Write(question.op, key, data), _TIMEOUT_MS + transfer_ms(size))\n",
        "        operations.transport.send(self._node, Write(0, key, data))\n"
        "        operations.runtime.call_soon(self._on_ended, key, digest(data), size, True)\n",
        1000,
    ),
    Bug(
        "refused-hint-erased",
        "a hint is erased though its owner refused the record",
        "handoff/hint_replay.py",
        "isinstance(reply, Wrote)",
        "reply is not None",
        1500,
    ),
    Bug(
        "hint-to-the-next-node",
        "a hint is replayed to another node than the one it names",
        "handoff/hint_replay.py",
        "            operations, self._node, partial(self._on_reply,",
        "            operations,\n"
        "            next(n for n in self._replay._view.others() if n != self._node),\n"
        "            partial(self._on_reply,",
        250,
    ),
    Bug(
        "never-behind",
        "nodes tell those that missed writes that they missed none",
        "handoff/hints.py",
        "SyncState(behind, ",
        "SyncState(False, ",
        5000,
        missed="only a needless sibling shows it, if a blind write meets the moment",
    ),
    Bug(
        "hints-forgotten-at-start",
        "a node that restarts does not know what it owes",
        "handoff/hints.py",
        "        self._recover()\n",
        "",
        1500,
    ),
    # Collection
    Bug(
        "tombstones-collected-by-age",
        "the first owner of a deleted key forgets it after a while, whoever may lack the delete",
        "repair/collection.py",
        "            if tombstone.agreed_at is None:\n"
        "                if self._is_agreed(key, tombstone):\n"
        "                    tombstone.agreed_at = now\n",
        "            if now - tombstone.since >= 0.5:\n"
        "                self._forget([(key, tombstone.digest)])\n"
        "            elif tombstone.agreed_at is None:\n"
        "                continue\n",
        2000,
    ),
    # Sloppy quorums
    Bug(
        "hint-counts-as-strict",
        "the answer of a write does not say that nodes which stand in were counted",
        "replication/write.py",
        "replace(self._answer, hinted=hinted)",
        "replace(self._answer, hinted=0)",
        500,
    ),
    Bug(
        "stand-in-read-as-strict",
        "the answer of a read does not say that nodes which stand in were asked",
        "replication/read.py",
        "return sum(node not in self._place.replicas.natural for node in self._answered())",
        "return 0",
        150,
    ),
    Bug(
        "handoff-without-a-hint",
        "a node that stands in keeps the record, but not whom it is for",
        "replication/replica_server.py",
        "            self._hints.keep(message.owner, key, len(message.record), ignore, None)\n",
        "",
        4500,
    ),
    Bug(
        "handoff-acked-before-sync",
        "a node that stands in acknowledges a write that a crash can still take from it",
        "replication/replica_server.py",
        "merge_in(key, message.record, self._on_durable, (node, message.op))\n"
        "\n    def _on_durable",
        "merge_in(key, message.record, ignore, None)\n"
        "        self._on_durable((node, message.op), None)\n"
        "\n    def _on_durable",
        8500,
    ),
    Bug(
        "handoff-acked-for-its-note",
        "a node that stands in acknowledges once the note is durable, merged or not",
        "replication/replica_server.py",
        "            self._hints.keep(message.owner, key, len(message.record), ignore, None)\n",
        "            asker = (node, message.op)\n"
        "            self._replica.merge_in(key, message.record, ignore, None)\n"
        "            size = len(message.record)\n"
        "            self._hints.keep(message.owner, key, size, self._on_durable, asker)\n"
        "            return\n",
        5000,
        missed="a read must fail just when it stands in, and the coordinator lose its copy",
    ),
    Bug(
        "copy-dropped-while-owed",
        "a stand-in drops its copy after one owner's ack, though another is owed it too",
        "handoff/hints.py",
        "        if self.holds(key):\n            return\n",
        "",
        3000,
    ),
    Bug(
        "owner-drops-its-copy",
        "an owner that has replayed a hint drops its own copy, as a stand-in does",
        "handoff/hints.py",
        "if held is not None and self._view.local not in self._view.owners_of(key):",
        "if held is not None:",
        200,
    ),
    Bug(
        "copy-with-own-dots-dropped",
        "a stand-in drops a copy that lists its own dots; its next dot covers the forgotten ones",
        "handoff/hints.py",
        "if all(event.actor != actor for event in decode(key, held).context):",
        "if decode(key, held):",
        3500,
    ),
    # Reads
    Bug(
        "blind-put-in-read-repair",
        "read repair overwrites what came in since the read",
        "replication/read.py",
        "replica.merge_in(key, data, ignore, None)",
        'replica.put(key, replica.store.get(key) or b"", data, ignore, None)',
        150,
    ),
    Bug(
        "last-answer-wins",
        "a read returns one replica's answer for the merge of all",
        "replication/read.py",
        "merged = merge(merged, record)",
        "merged = record",
        30,
    ),
    Bug(
        "absent-hides",
        "a read says that a key is absent as soon as one replica lacks it",
        "replication/read.py",
        "            if not data:\n                continue\n",
        "            if not data:\n                return EMPTY\n",
        400,
    ),
    Bug(
        "reply-counts-twice",
        "a repeated reply to a read counts as another replica's",
        "replication/read.py",
        "self.ended or node in self._same or node in self._replies",
        "self.ended or node in self._replies",
        3000,
    ),
    Bug(
        "read-one-short",
        "a read ends with one replica less than it needs",
        "replication/read.py",
        "if len(self._same) + len(self._replies) >= self._needed:",
        "if len(self._same) + len(self._replies) >= self._needed - 1:",
        75,
    ),
    Bug(
        "no-read-repair",
        "replicas that a read found stale stay so",
        "replication/read.py",
        "            self._repair(record)\n",
        "            pass\n",
        250,
    ),
    Bug(
        "deletes-not-repaired",
        "read repair leaves out records without a live version",
        "replication/read.py",
        "if not merged.context:",
        "if not merged.versions:",
        400,
    ),
    # Coordination
    Bug(
        "stand-in-reads-nothing",
        "whoever stands in for a key's first owner writes on its own record alone",
        "model/leaderless.py",
        "        and replica_set.natural[0] == sight.local\n        and sight.settled",
        "        and sight.settled",
        5000,
        missed="whom all call whole lacks only what is on its way: a sibling of that is allowed",
    ),
    Bug(
        "settled-never-withdrawn",
        "a first owner relies on its own record though a link to another broke meanwhile",
        "replication/coordination.py",
        "    def on_peer_lost(self, node: int) -> None:\n"
        "        self._settle(self._settled - {node})\n",
        "    def on_peer_lost(self, node: int) -> None:\n        pass\n",
        5000,
        missed="while links come and go siblings are allowed, and nothing else follows from it",
    ),
    Bug(
        "delete-asks-nobody",
        "a delete trusts its coordinator's own record",
        "model/leaderless.py",
        "if not isinstance(request, Put) or request.expect != ANY:",
        "if request.expect != ANY:",
        850,
    ),
    Bug(
        "delete-asks-too-few",
        "a delete that asked one replica says that nothing is there",
        "model/leaderless.py",
        "to_read = min(max(majority, settings.read), settings.replicas)",
        "to_read = 1",
        500,
    ),
    Bug(
        "read-for-own-record",
        "a write after a read builds on what was read, not on what came in meanwhile",
        "replication/coordination.py",
        "        return data, merge(own, read)\n",
        "        return data, read\n",
        200,
    ),
    # Full disks
    Bug(
        "full-node-coordinates",
        "a coordinator whose disk is full makes a version of which it keeps no copy",
        "replication/change.py",
        "        self._replica.check_room(key)\n        seen = request.seen",
        "        seen = request.seen",
        250,
    ),
    Bug(
        "full-stand-in-acks",
        "a node whose disk is full acknowledges what it does not take over",
        "replication/replica_server.py",
        "        except (DiskFull, Overloaded) as error:\n"
        "            self._refuse(node, message.op, error)\n"
        "            return\n        # One log",
        "        except (DiskFull, Overloaded):\n"
        "            self._operations.transport.send(node, Wrote(message.op))\n"
        "            return\n        # One log",
        1500,
    ),
    Bug(
        "full-refusal-acks",
        "a replica whose disk is full drops what it is sent, and acknowledges it",
        "replica/local_replica.py",
        "call_soon(done, arg, self._disk_full())",
        "call_soon(done, arg, None)",
        300,
    ),
    Bug(
        "full-refuses-tombstones",
        "a node whose disk is full takes no tombstones either",
        "replica/local_replica.py",
        "if self.store.full and not self.has_room(key) and not is_tombstone(key, data):",
        "if self.store.full and not self.has_room(key):",
        1000,
    ),
    # Damaged records
    Bug(
        "damaged-is-absent",
        "a replica that cannot read its record says that it has none",
        "replication/replica_server.py",
        "                self._answer(node, message, found)\n"
        "        except StorageError as error:\n"
        "            self._refuse(node, message.op, error)\n",
        "                self._answer(node, message, found)\n"
        "        except StorageError:\n"
        '            self._operations.transport.send(node, Have(message.op, b""))\n',
        100,
    ),
    Bug(
        "unread-is-absent",
        "a write whose coordinator cannot read its own record is made as if it had none",
        "replication/coordination.py",
        "        except CorruptRecord:\n"
        "            if self._replica.unverified.is_shared(key) and not self."
        "_replica.unverified.cover(key):\n                raise\n",
        "        except StorageError:\n",
        5000,
        missed="the record must be misread between its read and its write, and then hold more",
    ),
    Bug(
        "damage-not-repaired",
        "nobody is told of a damaged record",
        "repair/maintenance.py",
        "            self._verifier.on_damaged(stored_key)\n",
        "            pass\n",
        2000,
    ),
    Bug(
        "damage-stops-hints",
        "a hint whose record cannot be read ends the replay of all",
        "handoff/hint_replay.py",
        "        except StorageError:\n            # The hint stays",
        "        except KeyError:\n            # The hint stays",
        50,
    ),
    Bug(
        "replaced-is-whole",
        "a replica speaks for a key as soon as something has replaced its damaged record",
        "replica/local_replica.py",
        "        if self.unverified.cover(key):\n            raise CorruptRecord(",
        "        if False:\n            raise CorruptRecord(",
        1,
        caught_by="replication/test_unverified_tokens.py",
    ),
    Bug(
        "doubt-ends-with-any-comparison",
        "a doubt ends though an owner could not be compared",
        "repair/verification.py",
        "        if not complete:\n            self._done(self._partition, _AGAIN_S)\n"
        "        elif self._targets:",
        "        if self._targets:",
        1,
        caught_by="replication/test_recovery.py",
    ),
    Bug(
        "doubt-forgotten-at-start",
        "a node that restarts does not know what it had lost",
        "replica/unverified_tokens.py",
        "            self.tokens[span_of(note)] = UnverifiedSpan(self._last, since_ms)\n",
        "            del note, since_ms\n",
        1,
        caught_by="replication/test_unverified_tokens.py",
    ),
    Bug(
        "doubtful-copy-is-built-on",
        "a write is made on what has replaced a damaged record, and its dot covers what was lost",
        "replication/coordination.py",
        "            own = UNVERIFIED\n        # Asking",
        "            pass\n        # Asking",
        5000,
        missed="the lost write must be this node's own, and those it asks have missed it",
    ),
    Bug(
        "doubtful-copy-asks-a-majority",
        "a write in doubt asks so few that it may miss what was stored on W replicas",
        "model/leaderless.py",
        "    return max(to_read, min(",
        "    return min(to_read, min(",
        1,
        caught_by="model/test_write_plan.py",
    ),
    # The journal
    Bug(
        "entries-go-first",
        "entries of the journal are let go before what they hold is durable elsewhere",
        "journal/journaled_store.py",
        "            self._below.sync(self._flushed, flush.segment)",
        "            self._flushed(flush.segment, None)",
        1000,
    ),
    Bug(
        "segment-closed-twice",
        "a segment is closed while the one before it is being flushed, which is forgotten",
        "journal/journaled_store.py",
        "if self._flush is None:  # else it was full with that",
        "if True:",
        1000,
    ),
    Bug(
        "youngest-segment-let-go",
        "with a segment that has been flushed the log lets go of the one after it",
        "journal/journaled_store.py",
        "self._log.release(segment.last, _ignore, None)",
        "self._log.release(self._log.last, _ignore, None)",
        100,
    ),
    Bug(
        "last-key-not-flushed",
        "a segment counts as flushed before its last key is",
        "journal/segment.py",
        "        for key in list(self.segment.memtable.changes):\n",
        "        for key in list(self.segment.memtable.changes)[:-1]:\n",
        1000,
    ),
    Bug(
        "flushed-before-it-is-durable",
        "a segment is flushed though its last entry is still on its way to the disk",
        "journal/journaled_store.py",
        "        if self._durable_to < flush.segment.last:\n",
        "        if self._durable_to < 0:\n",
        1,
        caught_by="journal/test_journaled_store.py",
    ),
    Bug(
        "journal-not-replayed",
        "what is in the journal is counted at a start, and not taken up",
        "journal/journaled_store.py",
        "            segment.memtable.put(key, value)\n        segment.add",
        "        segment.add",
        20,
    ),
    Bug(
        "notes-overtake-the-journal",
        "a note is durable before the writes that it says something of",
        "journal/journaled_store.py",
        "            return\n        batch = self._batch\n",
        '            return\n        if key[0] not in b"dh":\n'
        "            self._below.write(key, value)\n            self._below.sync(done, arg)\n"
        "            return\n        batch = self._batch\n",
        1,
        caught_by="journal/test_journaled_store.py",
    ),
    Bug(
        "acknowledged-in-memory",
        "a write is acknowledged when it is in the memtable",
        "journal/journaled_store.py",
        "        batch.waiting.append((done, arg))\n",
        "        batch.waiting.append((lambda *_: None, arg))\n"
        "        self._runtime.call_soon(done, arg, None)\n",
        20,
    ),
    Bug(
        "flushed-segment-unread",
        "what is being flushed is not looked at by reads",
        "journal/journaled_store.py",
        "        for segment in self._older:\n"
        "            changes = segment.memtable.changes\n"
        "            if key in changes:\n"
        "                return changes[key]\n"
        "        return self._below.find(",
        "        return self._below.find(",
        100,
    ),
    Bug(
        "scan-forgets-the-youngest",
        "a scan does not see what has been written last",
        "journal/merged_reads.py",
        "    for segment in segments:\n        changes =",
        "    for segment in segments[:-1]:\n        changes =",
        100,
    ),
    Bug(
        "stopped-with-writes-in-hand",
        "a node that stops in order does not hand over what it has gathered",
        "journal/journaled_store.py",
        "            self._ticking.cancel()\n        self._commit()\n        self._emptying",
        "            self._ticking.cancel()\n        self._emptying",
        1,
        caught_by="sim/test_sim_disk_log.py",
    ),
    # Listings
    Bug(
        "agrees-without-looking",
        "a replica tells a listing that it holds the same, whatever it holds",
        "replication/agreement.py",
        "    return own == message.hash and can_read(",
        "    return bool(own) and can_read(",
        1,
        caught_by="replication/test_scan.py",
    ),
    Bug(
        "agrees-unverified",
        "a replica vouches for records of which it has lost the newest copy",
        "replication/agreement.py",
        "    return own == message.hash and can_read(replica, message.start, message.end)",
        "    return own == message.hash",
        1,
        caught_by="replication/test_scan.py",
    ),
    Bug(
        "lists-alone-past-damage",
        "a node that lists alone leaves out what it cannot read",
        "replication/scan.py",
        "            if page.unreadable:",
        "            if page.unreadable and not self._replica:",
        1,
        caught_by="replication/test_scan.py",
    ),
    Bug(
        "tagged-by-the-last-brace",
        "the hash tag reaches to the last closing brace of the key",
        "model/hash_tags.py",
        "    last = key.find(_CLOSE, first + 1)",
        "    last = key.rfind(_CLOSE, first + 1)",
        1,
        caught_by="model/test_hash_tags.py",
    ),
    # Membership and clocks
    Bug(
        "suspect-for-ever",
        "operations are not told that a node which was suspected is heard again",
        "cluster/membership.py",
        "        if self._roster.members[node].spoke(self._runtime.now()):\n"
        "            self._on_change(node)\n",
        "        self._roster.members[node].spoke(self._runtime.now())\n",
        100,
    ),
    Bug(
        "clock-corrected-away",
        "a wrong clock is corrected in the wrong direction",
        "cluster/clocks.py",
        "wall_ms + self._correction_ms",
        "wall_ms - self._correction_ms",
        700,
    ),
    Bug(
        "held-back-for-too-long",
        "a node that comes and goes is held back for the longest time at once",
        "cluster/member.py",
        "        return min(\n            self._settings.flap_hold_s",
        "        return max(\n            self._settings.flap_hold_s",
        1,
        caught_by="cluster/test_member.py",
    ),
    Bug(
        "wrong-clock-gives-lifetimes",
        "a node whose clock is wrong says all the same when something expires",
        "cluster/clocks.py",
        '            return state in ("trusted", "accepted")\n',
        "            return True\n",
        700,
    ),
    Bug(
        "last-message-stays",
        "the last message of an outbox stays in it when the others are sent",
        "links/link.py",
        "        messages = self._outbox\n        self._outbox = []\n        machine",
        "        messages = self._outbox[:]\n        del self._outbox[:-1]\n        machine",
        20,
    ),
    Bug(
        "open-link-unused",
        "what is sent to a node goes on to wait when a link to it is open",
        "links/peers.py",
        "        self._send[peer.node] = link.send\n",
        "        pass\n",
        20,
    ),
    Bug(
        "lost-link-dialed-in-vain",
        "an attempt to dial is never over, so no other one follows it",
        "links/peers.py",
        "            self._peers[link.node].reconnect.ended()\n",
        "            pass\n",
        200,
    ),
    Bug(
        "backlog-begins-in-the-middle",
        "a long message begins where the one before it ended",
        "links/backlog.py",
        "        self._bytes -= len(self.waiting.popleft().data)\n        self._sent_bytes = 0\n",
        "        self._bytes -= len(self.waiting.popleft().data)\n",
        1,
        caught_by="links/test_backlog.py",
    ),
    # Messages and frames
    Bug(
        "batch-without-its-last",
        "of several messages in one frame the last one is dropped",
        "wire/batches.py",
        "        return _decoder.decode(data)\n",
        "        found = _decoder.decode(data)\n"
        "        return found[:-1] if len(found) > 1 else found\n",
        50,
    ),
    Bug(
        "header-unchecked",
        "a frame whose header is damaged is believed",
        "wire/frames.py",
        "if xxh32_digest(data[start : start + _HEAD_BYTES]) != head_check:",
        "if not head_check:",
        1,
        caught_by="wire/test_frames.py",
    ),
    Bug(
        "pieces-of-two-messages",
        "a message that is given up half way goes on in the next one",
        "wire/pieces.py",
        "        self._announced = length\n        self._held = bytearray()\n",
        "        self._announced = length\n",
        1,
        caught_by="wire/test_pieces.py",
    ),
    Bug(
        "split-frame-is-lost",
        "a frame that comes in two parts is taken for one that has not begun",
        "wire/frames.py",
        "                self._wanted = end - start\n                break\n",
        "                start = have\n                break\n",
        1,
        caught_by="wire/test_frames.py",
    ),
    # Sockets, which the simulator does not run
    Bug(
        "stopping-node-tells-of-lost-links",
        "a node that stops tells its receiver of each link that it closes",
        "net/network.py",
        "        self.peers.stop()\n",
        "",
        1,
        caught_by="net/test_peers.py",
    ),
    Bug(
        "handlers-bug-unreported",
        "what goes wrong while a message is handled is told to nobody",
        "net/network.py",
        '        self._loop.call_exception_handler({"message": what, "exception": error})\n',
        "        del what, error\n",
        1,
        caught_by="net/test_peers.py",
    ),
    Bug(
        "refused-connection-untold",
        "a link is not told that nobody listens where it was to connect to",
        "net/dialer.py",
        "        except OSError as error:\n            link.lost(error)\n",
        "        except OSError:\n            pass\n",
        1,
        caught_by="net/test_dialer.py",
    ),
    # Sealing
    Bug(
        "row-cache-stale-after-a-write",
        "the row cache goes on serving the record that a write replaced",
        "sealing/sealed_store.py",
        "            self._rows.put(key, value)\n            return pair\n",
        "            return pair\n",
        300,
    ),
    Bug(
        "opens-with-the-newest-key",
        "after a rotation, records that were sealed before do not open any more",
        "sealing/seal.py",
        "text = key.cipher.decrypt(stored_key[-_NONCE_BYTES:], text, aad)",
        "text = self.manner.key.cipher.decrypt(stored_key[-_NONCE_BYTES:], text, aad)",
        300,
    ),
    Bug(
        "resealed-over-the-newer",
        "the scrubber puts a record that it has sealed anew over what was written meanwhile",
        "sealing/scrub.py",
        "        self._store.write(stored_key, resealed)\n",
        "        self._runtime.call_later(0.1, self._store.write, stored_key, resealed)\n",
        500,
    ),
    Bug(
        "nonce-of-nothing",
        "records are sealed with another nonce than they are opened with",
        "sealing/seal.py",
        "text = key.cipher.encrypt(stored_key[-_NONCE_BYTES:], text, aad)",
        "text = key.cipher.encrypt(bytes(_NONCE_BYTES), text, aad)",
        50,
    ),
    Bug(
        "shredded-comes-back",
        "a node that restarts takes shredded records from one that has not shredded them yet",
        "sealing/shred_horizon.py",
        "self._store.write(_START + name, moment_ms.to_bytes(8))",
        "self._store.write(_END + name, moment_ms.to_bytes(8))",
        200,
    ),
    Bug(
        "open-key-without-its-namespace",
        "a record that lies open is looked for without its namespace",
        "sealing/seal.py",
        "            return visible + self._prefix + name\n",
        "            return visible + name\n",
        1,
        caught_by="sealing/test_sealed_store.py",
    ),
    # Tokens, users and roles
    Bug(
        "security-before-durable",
        "a change of tokens, users or roles is answered before it is durable",
        "replication/shared_security.py",
        "        self._kept.write(merged, partial(self._written, merged, changed, thens))\n",
        "        self._kept.write(merged, partial(self._written, merged, changed, []))\n"
        "        self._settle(thens, None)\n",
        60,
    ),
    Bug(
        "older-security-wins",
        "of two changes of one token, user or role the one with the lower stamp counts",
        "model/security_catalog.py",
        "    return final, entry.stamp, entry.origin, msgspec",
        "    return final, -entry.stamp, entry.origin, msgspec",
        60,
    ),
    Bug(
        "security-never-compared",
        "nodes do not tell others which security catalog they have",
        "replication/shared_security.py",
        "        if self.catalog.entries:\n            self._operations",
        "        if not self.catalog.entries:\n            self._operations",
        60,
    ),
    Bug(
        "removed-token-comes-back",
        "a token that was removed is back when somebody changed it at the same time",
        "model/security_catalog.py",
        "    return final, entry.stamp, entry.origin, msgspec",
        "    return False, entry.stamp, entry.origin, msgspec",
        300,
    ),
)
