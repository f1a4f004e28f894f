"""The replay core: turns of arrivals in, interrupts out, no IO.

Read in this order: `arrivals`, `interrupts`, `entries`, `primitives` (the words), then `replay`, `loop`, `waiting`, `journal`.
"""
