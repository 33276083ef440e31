"""Replicas without names: of all states that differ in numbers only, one is searched.

Replicas are sorted by what can be said of each without naming others; only those alike are tried in every order. What is
said of a replica, and what it is called in another order, is worked out once and remembered.
"""

from __future__ import annotations

from itertools import permutations, product

from spec_replication import NOBODY, Replica, Replication, Requests, State


class Symmetric:
    """The same space, with states that differ in nothing but the replicas' numbers taken for one."""

    def __init__(self, space: Replication) -> None:
        self.space = space
        self.numbers = space.numbers
        self.broken = space.broken
        self.looks: list[dict[Replica, int]] = [{} for _ in self.numbers]
        self.roles: dict[Requests, list[int]] = {}
        # Each look and each role has a number, in the order they were first seen.
        self.seen: dict[tuple[object, ...], int] = {}
        self.renamings = {order: Renaming(order) for order in permutations(self.numbers)}

    def begin(self) -> list[State]:
        return [self.representative(state) for state in self.space.begin()]

    def successors(self, state: State, may_deviate: bool) -> list[State]:
        return [self.representative(successor) for successor in self.space.successors(state, may_deviate)]

    def representative(self, state: State) -> State:
        """The least of all states that differ from this one only in the replicas' numbers."""
        replicas, requests, in_sync, _ = state
        roles = self.roles.get(requests)
        if roles is None:
            roles = self.roles[requests] = [self._role(requests, number) for number in self.numbers]
        signs = []
        for number, replica in enumerate(replicas):
            look = self.looks[number].get(replica)
            if look is None:
                look = self.looks[number][replica] = self._look(replica, number)
            signs.append((look, roles[number], in_sync >> number & 1))
        order = sorted(self.numbers, key=signs.__getitem__)
        alike: list[list[int]] = []
        last = None
        for number in order:
            if signs[number] == last:
                alike[-1].append(number)
            else:
                alike.append([number])
            last = signs[number]
        if len(alike) == len(order):
            return self.renamings[tuple(order)].renamed(state)
        orders = [sum(parts, ()) for parts in product(*[permutations(numbers) for numbers in alike])]
        return min([self.renamings[order].renamed(state) for order in orders])

    def _look(self, replica: Replica, number: int) -> int:
        log, high_watermark, epoch, leader, members = replica
        follows = leader if leader == NOBODY else int(leader == number)
        look = (log, high_watermark, epoch, follows, members >> number & 1, members.bit_count())
        return self.seen.setdefault(look, len(self.seen))

    def _role(self, requests: Requests, number: int) -> int:
        role = tuple([2 * (leader == number) + (members >> number & 1) for leader, members in requests])
        return self.seen.setdefault(role, len(self.seen))


class Renaming:
    """`order`: by new number, the old one."""

    def __init__(self, order: tuple[int, ...]) -> None:
        self.order = order
        self.leaders = {old: new for new, old in enumerate(order)} | {NOBODY: NOBODY}
        self.masks = [
            sum([1 << new for new, old in enumerate(order) if mask >> old & 1]) for mask in range(1 << len(order))
        ]
        self.replicas: dict[Replica, Replica] = {}
        self.requests: dict[Requests, Requests] = {}

    def renamed(self, state: State) -> State:
        olds, requests, in_sync, written = state
        news = []
        for number in self.order:
            old = olds[number]
            new = self.replicas.get(old)
            if new is None:
                log, high_watermark, epoch, leader, members = old
                new = (log, high_watermark, epoch, self.leaders[leader], self.masks[members])
                self.replicas[old] = new
            news.append(new)
        sent = self.requests.get(requests)
        if sent is None:
            sent = tuple([(self.leaders[leader], self.masks[members]) for leader, members in requests])
            self.requests[requests] = sent
        return (tuple(news), sent, self.masks[in_sync], written)
