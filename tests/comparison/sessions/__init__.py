"""The sessions, by area."""

from sessions import agents, assistants, crons, edge, errors, nesting, options, runs, state, store, streams, threads

ALL = [
    session
    for area in (edge, assistants, threads, state, runs, options, streams, nesting, crons, store, agents, errors)
    for session in area.SESSIONS
]

assert len({session.name for session in ALL}) == len(ALL), "two sessions of the same name"
