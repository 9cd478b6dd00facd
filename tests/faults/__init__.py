"""Attacks on the promises. Each has a short form in `make test`; STREAMWATCH_LONG=1 and `make chaos` make them long.

| fault | where |
|---|---|
| 1 kill -9 at every named point (`bot/probe.py`) | test_replicas (killed_at_every_named_point), \
test_killed_in_a_storm (random moments, the whole bot), \
test_demo_killed (bots, database and demo), tests/integration/intake/test_killed; in a migration: \
tests/integration/store/test_migrations |
| 2 two replicas race | test_replicas_disturbed (race), tests/integration/store (racing_*) |
| 3 frozen replica | test_replicas_disturbed (frozen), chaos |
| 4 clock moved back and forward | test_clock_moved (the whole bot), test_replicas_disturbed (clock); daylight saving, \
leap days: tests/unit/core/test_rotation_properties |
| 5 Slack fails in every way | tests/e2e/test_slack_faults, tests/integration/slack_room/test_sender |
| 6 Slack away for two hours | test_slack_away |
| 7 database locked | test_resources (the whole bot), tests/integration/store/test_database, \
tests/integration/intake/test_webhooks |
| 8 disk full | test_resources (the whole bot), tests/integration/store/test_database, \
tests/integration/intake/test_webhooks |
| 9 database restarted, killed, connections cut | test_replicas_disturbed (restarted), chaos, \
tests/integration/store/test_database |
| 10 copies, in parallel | tests/e2e/test_storm_copies, tests/integration/intake/test_webhooks |
| 11 any order | tests/e2e/test_order_in_every_permutation, tests/e2e/test_order_of_notifications |
| 12 storm | tests/e2e/test_storm_pipelines, tests/bench/storm |
| 13 poison | tests/e2e/test_storm_of_oddities, tests/integration/intake/test_webhooks |
| 14 SIGTERM during a send, an operation; a release on the schema of the next | test_resources, test_stopped_midway; \
tests/integration/store/test_migrations |
| 15 audit rows altered, deleted, reordered | tests/integration/store/test_incidents, tests/unit/core/test_audit |
| 16 a step killed midway | test_slack_away (interrupted), tests/e2e/test_operations_killed, test_replay_killed |
| 17 two transactions want the same rows | test_lock_order, chaos (deadlocks) |
| 18 a database or machine too slow for its leases | test_slow_machine |

Over all of them stands test_state_machine: whatever happens in whatever order, the promises hold.
"""
