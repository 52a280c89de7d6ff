"""What workers have begun and not ended, so that a photo which ends its worker is found.

If memory runs out, or a library crashes, the process of a worker is gone, and Ray gives its batch
to another one: again and again, if a photo of the batch is the reason. So a batch that was begun
before is indexed photo by photo, and a photo that was begun `MOST` times is skipped and listed.
"""

from collections import Counter
from typing import Any

MOST = 2
"""How often a photo may end a worker; a machine may be lost while it reads an innocent one."""
REASON = (
    f"the process that read it has ended {MOST} times, perhaps because memory ran out or a library "
    "has crashed; index it alone, on a machine with more memory"
)


class Attempts:
    """Counts attempts by name. The process that lists the photos has one, as an actor of Ray."""

    def __init__(self) -> None:
        self._begun: Counter[str] = Counter()

    def begin(self, name: str) -> int:
        """Note that an attempt begins; returns the number of earlier ones that have not ended."""
        self._begun[name] += 1
        return self._begun[name] - 1

    def end(self, name: str) -> None:
        """Note that an attempt has ended, with a result or an error."""
        del self._begun[name]


class RemoteAttempts:
    """The same for a worker, by the handle of the actor."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def begin(self, name: str) -> int:
        """See `Attempts.begin`."""
        import ray

        return int(ray.get(self._actor.begin.remote(name)))

    def end(self, name: str) -> None:
        """See `Attempts.end`."""
        import ray

        ray.get(self._actor.end.remote(name))


def shared_attempts() -> RemoteAttempts:
    """New counts that all workers share. They are on this machine, whose loss ends the work."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor = ray.remote(Attempts).options(num_cpus=0, scheduling_strategy=here)
    return RemoteAttempts(actor.remote())
