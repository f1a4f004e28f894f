"""Hooks from outside: what is left in a run's inbox so that a further coroutine starts there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from memflow.client.values import encode_arguments, encode_fields
from memflow.codec import Codec
from memflow.core.arrivals import HookReceived
from memflow.core.record import check_fields
from memflow.names import check_name, new_id
from memflow.workflow.hooks import fitting, hook_of


def hook_received(target: Any, arguments: Sequence[Any], search: Mapping[str, Any] | None, codec: Codec) -> HookReceived:
    """The arrival that starts `target`, an async function or the name of one that the run's worker knows.

    Raises:
        ConfigurationError: it cannot be a hook.
        TypeError: too few or too many arguments for the function.
        PayloadError: an argument is not of its declared type, or cannot be stored; or a field of `search` cannot be searched.
    """
    fields = encode_fields(search, codec, what="search")
    if fields is not None:
        check_fields(codec.decode(fields, dict[str, Any]))
    if isinstance(target, str):
        input, _ = encode_arguments(arguments, check_name(target, what="hook name"), codec)
        return HookReceived(new_id(), target, input, fields)
    hook = hook_of(target)
    input = codec.encode_arguments(fitting(hook, arguments), hook.argument_types)
    return HookReceived(new_id(), hook.name, input, fields)
