"""The few messages of Temporal's wire format that programs touch, as plain Python classes: payloads, failures, events, enums."""
