"""The state of one actor, in its process: restored at the start, committed after each message.

    start    memory has a commit ──▶ restore(state)
             it has none ──▶ what the durable file has, if there is one ──▶ restore(state)
    message  snapshot() ──▶ the durable file, if each message is written ──▶ memory ──▶ the answer

The file comes before the memory: an answer is sent once the memory has it, by the supervisor too, and by then it must
be on disk. Whoever is killed in between has not done the message (KE-1).
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from actors.loop import call_hook
from runtime.durable.keeper import Keeper
from runtime.durable.row import Row
from runtime.mailbox.commits import Commit as CommitBy
from runtime.memory.snapshots import Commit, Snapshots, commit_in
from runtime.wire.codec import Codec
from runtime.wire.parts import whole


class State:
    """What is committed of one actor. `restore` comes first, `close` last."""

    def __init__(self, fd: int, grow: Callable[[int], int], codec: Codec, keeper: Keeper | None) -> None:
        """Take over what there is.

        Args:
            fd: of the memory; stays the caller's.
            grow: as of `Snapshots`.
            codec: of the process.
            keeper: of the durable file; None: there is none.
        """
        self._fd = fd
        self._snapshots = Snapshots(fd, grow)
        self._codec = codec
        self._encoding = codec if keeper is None else Codec()  # on disk no class may be a number of this system
        self._keeper = keeper

    async def restore(self, hook: Callable[[Any], Awaitable[None] | None]) -> None:
        """Give the actor's hook the state there is, if there is any.

        Raises:
            NotDurable: nothing is in memory, and the file cannot be used.
            Undecodable: a class of the state is missing.
            ActorError: what is in memory is damaged.
        """
        commit = commit_in(self._fd)
        if commit is None:
            await self._restore_from_file(hook)
        elif not commit.is_blank:
            await self._restore_from_memory(hook, commit)

    def commits(self, take: Callable[[], object]) -> CommitBy:
        """What commits the state; take is the actor's `snapshot`."""
        encode, snapshots, keeper = self._encoding.encode_value, self._snapshots, self._keeper

        def commit(epoch: int, frame: int, reply_to: int, answer: bytes, others: Sequence[tuple[int, int]]) -> None:
            kind, payload = encode(take(), "snapshot")
            snapshots.commit(epoch, frame, reply_to, answer, kind, whole(payload), others)

        def commit_to_both(
            epoch: int, frame: int, reply_to: int, answer: bytes, others: Sequence[tuple[int, int]]
        ) -> None:
            kind, payload = encode(take(), "snapshot")
            state = bytes(whole(payload))
            assert keeper is not None
            keeper.save(Row(snapshots.following, kind, state))
            snapshots.commit(epoch, frame, reply_to, answer, kind, state, others)

        return commit if keeper is None else commit_to_both

    def close(self) -> None:
        """Write what the file does not have yet; blocks for the disk."""
        if self._keeper is not None:
            self._keeper.close()

    async def _restore_from_file(self, hook: Callable[[Any], Awaitable[None] | None]) -> None:
        row = None if self._keeper is None else self._keeper.load()
        if row is not None:
            await call_hook(hook, self._codec.decode_value(row.kind, row.state))
            self._snapshots.begin(*row)
        elif self._keeper is not None:
            self._snapshots.begin(1)

    async def _restore_from_memory(self, hook: Callable[[Any], Awaitable[None] | None], commit: Commit) -> None:
        state = self._codec.decode_value(commit.kind, commit.state)
        if self._keeper is not None:
            kind, payload = self._encoding.encode_value(state, "snapshot")  # it may be of before there was a file
            self._keeper.resume(Row(commit.number, kind, bytes(whole(payload))))
        await call_hook(hook, state)
