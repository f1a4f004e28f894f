"""`memflow bench`: what memflow does on a database of yours, what that costs, and what limits it.

Read in this order: `settings` (sizes), `scenarios` and its neighbours (what is done), `meter` (what is counted), `report`
(what is said). `workload` runs in the worker processes, which `workers` starts and `program` is.
"""
