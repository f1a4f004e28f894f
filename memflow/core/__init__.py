"""The replay core: turns of arrivals in, interrupts out, no IO.

Read in this order: `arrivals`, `interrupts`, `entries`, `primitives` (the words); then `replay` (the turns), `asking` (what the
code speaks to), `loop`, `waiting`, `signals`; then `journal` and `mismatch` (repeating), `unwinding` (leaving memory).
"""
