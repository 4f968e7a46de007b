"""The sessions, by area."""

from sessions import agents, assistants, crons, edge, errors, options, runs, state, store, streams, threads

ALL = [
    session
    for area in (edge, assistants, threads, state, runs, options, streams, crons, store, agents, errors)
    for session in area.SESSIONS
]

assert len({session.name for session in ALL}) == len(ALL), "two sessions of the same name"
