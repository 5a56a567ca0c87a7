"""Chains: who may wait for the answer of a message, as each ask carries it, the first asker first.

    "a"             a blocking call of a: it waits until the answer is there
    "a" NUL id      an ask that a has made: whether a waits for it, now or ever, a can tell

CN-1  Only waiting makes a cycle, and only an actor that takes no other message meanwhile is waited for in vain: an ask
      that is kept, and one of a message that is handled beside others, hold up nobody.
CN-2  Nothing false: who is in the chain waits for what is in hand here only if each one behind it waits for the next.
      The last of them is the actor here, and it has not answered; so none of them can have been answered either.
CN-3  Nothing missed: whoever begins to wait last closes the cycle. Another one's wait may be the last: as long as one
      that is in the chain is waited for, it is looked at again.
"""

from collections.abc import Callable

Chain = tuple[str, ...]

Waiting = Callable[[str, str, bool], bool]
"""Given a path, the id of its ask and a flag: whether it waits for that answer: True: and does nothing else meanwhile,
False: for the sake of the message that it asked for."""


def kept(chain: Chain, own: str, ask_id: int) -> Chain:
    """The chain of an ask that may be waited for."""
    return (*chain, f"{own}\0{ask_id:x}")


def is_doubtful(chain: Chain, path: str) -> bool:
    """Whether the actor at path may wait for the message that has this chain."""
    return any(entry.partition("\0")[0] == path for entry in chain)


def cycle_of(chain: Chain, own: str, path: str, is_waiting: Waiting) -> Chain | None:
    """The cycle that would be closed if the actor `own`, which has a message of this chain in hand, waited for path."""
    if path == own:
        return path, path
    if not is_doubtful(chain, path):
        return None
    names = [path, own]
    for entry in reversed(chain):
        name, _, ask_id = entry.partition("\0")
        names.append(name)
        if name == path and (not ask_id or is_waiting(name, ask_id, True)):
            return tuple(reversed(names))
        if ask_id and not is_waiting(name, ask_id, False):
            return None
    return None
