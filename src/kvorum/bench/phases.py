"""The two phases of a bench run: load every key, then run the workload."""

from __future__ import annotations

from kvorum.bench.driver import Limits, Progress, drive
from kvorum.bench.measurement import Measurement
from kvorum.bench.plan import Plan, Share
from kvorum.bench.workload import Load, Workload
from kvorum.client.access import Access


async def load(plan: Plan, progress: Progress) -> Measurement:
    """Store every key once; ends at the first error, since a run needs them all."""
    limits = Limits(plan.timeout_s, errors=1)
    tls = Access(plan.security).context
    return await drive(plan.servers, plan.connections, Load(plan), limits, progress, tls)


async def run(plan: Plan, share: Share, progress: Progress) -> Measurement:
    """Put this share of the plan's load on its servers."""
    limits = Limits(plan.timeout_s, plan.duration_s, share.operations)
    source = Workload(plan, share.index)
    tls = Access(plan.security).context
    return await drive(plan.servers, share.connections, source, limits, progress, tls)
