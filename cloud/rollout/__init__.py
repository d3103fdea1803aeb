"""The rollout engine and what it stands on: pure decisions, without clock, store or network.

`table` has the states and what leads from one to the next, `plan` what each stage asks for,
`evidence` what hosts have shown, `gates` what that means, `engine` one look at a rollout, `seats`
who may be reached in a stage, `policy` what one host is offered. The cloud and the simulation of
millions of hosts (`bench/rollout.py`) run the same code.
"""
