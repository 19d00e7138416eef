"""Which conversations live, and which have their tools registered."""

from __future__ import annotations

from dataclasses import dataclass

IDLE_LIMIT = 3600.0
MAX_CONVERSATIONS = 10_000


@dataclass(slots=True)
class Conversation:
    """One conversation of an agent.

    Attributes:
        active_at: when something was last heard of it.
        announced: the platform spoke of it, so that it counts as started.
        open: its tools may run; until then ``on_conversation_started`` runs.
        ended: the platform said that it ended; its last calls may still run.
        registration: ref of the registration on this connection, or None.
    """

    conversation_id: str
    active_at: float
    announced: bool = False
    open: bool = True
    ended: bool = False
    registration: int | None = None


class Conversations:
    """The live conversations of one agent. Not thread-safe: its owner has the lock.

    Args:
        limit: how many there may be at once.

    Attributes:
        scope: the only conversation that the agent serves, or None for all.
        new: those that nobody was told to register yet; they may have ended.
    """

    def __init__(
        self, scope: str | None, now: float, limit: int = MAX_CONVERSATIONS
    ) -> None:
        self.scope = scope
        self._limit = limit
        self._refusing = False
        self._live: dict[str, Conversation] = {}
        self._ending: dict[str, Conversation] = {}
        self._unregistered: set[str] = set()
        self.new: list[Conversation] = []
        self._sent: dict[int, Conversation] = {}
        if scope is not None:
            self.add(scope, now)

    @property
    def full(self) -> bool:
        """Whether no other conversation may begin."""
        return len(self._live) + len(self._ending) >= self._limit

    def refuse(self) -> bool:
        """A conversation cannot begin; returns whether it is the first in a row."""
        first, self._refusing = not self._refusing, True
        return first

    def add(self, conversation_id: str, now: float) -> Conversation:
        """A conversation begins."""
        self._refusing = False
        conversation = Conversation(conversation_id, now)
        self._live[conversation_id] = conversation
        self.new.append(conversation)
        self._unregistered.add(conversation_id)
        return conversation

    def get(self, conversation_id: str) -> Conversation | None:
        """A live conversation by its id."""
        return self._live.get(conversation_id)

    def knows(self, conversation_id: str) -> bool:
        """Whether a conversation lives, or its last calls still run."""
        return conversation_id in self._live or conversation_id in self._ending

    def end(self, conversation_id: str) -> Conversation | None:
        """A conversation ended; it is kept until `forget`, for its last calls."""
        conversation = self._live.pop(conversation_id, None)
        if conversation is not None:
            conversation.ended = True
            self._sent.pop(conversation.registration or 0, None)
            self._ending[conversation_id] = conversation
            self._unregistered.discard(conversation_id)
        return conversation

    def forget(self, conversation_id: str) -> None:
        """The last call of an ended conversation is over."""
        del self._ending[conversation_id]

    def is_ending(self, conversation_id: str) -> bool:
        """Whether the conversation ended while calls of it still ran."""
        return conversation_id in self._ending

    def concerns_us(self, conversation_id: str) -> bool:
        """Whether the agent serves this conversation at all."""
        return self.scope in (None, conversation_id)

    def only_one(self) -> str | None:
        """The id of the only live conversation, or None when it is not alone."""
        return next(iter(self._live)) if len(self._live) == 1 else None

    def live(self) -> list[Conversation]:
        """The conversations that have not ended, oldest first."""
        return list(self._live.values())

    def lost(self) -> None:
        """The connection is gone, and the registrations with it."""
        for conversation in self._live.values():
            conversation.registration = None
        self._sent.clear()
        self._unregistered = set(self._live)

    def sent(self, conversation: Conversation, ref: int) -> None:
        """The tools of a conversation went into the outbox under `ref`."""
        conversation.registration = ref
        self._sent[ref] = conversation

    def read_up_to(self, ref: int) -> None:
        """Every frame before `ref` was read by the server's socket process."""
        for conversation in self._awaited():
            if (conversation.registration or ref) < ref:
                self._unregistered.discard(conversation.conversation_id)

    def replied(self, ref: int, ok: bool) -> Conversation | None:
        """The platform replied to the registration under `ref`, if it is one."""
        conversation = self._sent.pop(ref, None)
        if conversation is None:
            return None
        if ok:
            self._unregistered.discard(conversation.conversation_id)
        else:  # also when it is read, it is not registered
            conversation.registration = None
            self._unregistered.add(conversation.conversation_id)
        return conversation

    def is_registered(self, conversation: Conversation) -> bool:
        """Whether the platform has read the tools of a conversation."""
        return conversation.conversation_id not in self._unregistered

    @property
    def all_registered(self) -> bool:
        """Whether the platform has read the tools of every live conversation."""
        return not self._unregistered

    @property
    def registering(self) -> bool:
        """Whether tools were sent that may not have been read."""
        return any(item.registration is not None for item in self._awaited())

    @property
    def any_sent(self) -> bool:
        """Whether tools were sent on this connection."""
        return any(item.registration is not None for item in self._live.values())

    def take_new(self, room: int) -> list[Conversation]:
        """The next live conversations to register, as many as there is room for."""
        if not room:
            self.new = [item for item in self.new if not item.ended]
        new, self.new = self.new[:room], self.new[room:]
        return [item for item in new if not item.ended]

    def _awaited(self) -> list[Conversation]:
        return [self._live[key] for key in self._unregistered]

    def silent_for(self, now: float) -> float | None:
        """Seconds since anything was heard of a live conversation, if there is one."""
        heard = [item.active_at for item in self._live.values()]
        return now - max(heard) if heard else None

    def idle(self, now: float) -> list[str]:
        """The conversations of which nothing was heard for an hour."""
        if self.scope is not None:
            return []
        limit = now - IDLE_LIMIT
        return [key for key, item in self._live.items() if item.active_at <= limit]
