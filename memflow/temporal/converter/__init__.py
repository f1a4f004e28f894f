"""Values to payloads and back, as Temporal's programs configure it: payload converters, codecs, failure converters."""

from memflow.temporal.converter.codecs import PayloadCodec
from memflow.temporal.converter.contexts import (
    ActivitySerializationContext,
    SerializationContext,
    WithSerializationContext,
    WorkflowSerializationContext,
)
from memflow.temporal.converter.data import DataConverter, default
from memflow.temporal.converter.failures import (
    DefaultFailureConverter,
    DefaultFailureConverterWithEncodedAttributes,
    FailureConverter,
    create_payload_validation_error,
)
from memflow.temporal.converter.payloads import (
    AdvancedJSONEncoder,
    BinaryNullPayloadConverter,
    BinaryPlainPayloadConverter,
    BinaryProtoPayloadConverter,
    CompositePayloadConverter,
    DefaultPayloadConverter,
    EncodingPayloadConverter,
    JSONPlainPayloadConverter,
    JSONProtoPayloadConverter,
    PayloadConverter,
)
from memflow.temporal.converter.transfer import TransferTypeConverter, transfer_type_convertible
from memflow.temporal.converter.values import JSONTypeConverter, JSONTypeConverterUnhandled, value_to_type
from memflow.temporal.missing import not_offered

__all__ = [
    "ActivitySerializationContext",
    "AdvancedJSONEncoder",
    "BinaryNullPayloadConverter",
    "BinaryPlainPayloadConverter",
    "BinaryProtoPayloadConverter",
    "CompositePayloadConverter",
    "DataConverter",
    "DefaultFailureConverter",
    "DefaultFailureConverterWithEncodedAttributes",
    "DefaultPayloadConverter",
    "EncodingPayloadConverter",
    "FailureConverter",
    "JSONPlainPayloadConverter",
    "JSONProtoPayloadConverter",
    "JSONTypeConverter",
    "JSONTypeConverterUnhandled",
    "PayloadCodec",
    "PayloadConverter",
    "SerializationContext",
    "TransferTypeConverter",
    "WithSerializationContext",
    "WorkflowSerializationContext",
    "create_payload_validation_error",
    "default",
    "transfer_type_convertible",
    "value_to_type",
]

_STORAGE = "write a PayloadCodec that puts large payloads elsewhere"
__getattr__ = not_offered(
    __name__,
    {
        "ExternalStorage": _STORAGE,
        "StorageDriver": _STORAGE,
        "StorageDriverActivityInfo": _STORAGE,
        "StorageDriverClaim": _STORAGE,
        "StorageDriverRetrieveContext": _STORAGE,
        "StorageDriverSelectContext": _STORAGE,
        "StorageDriverStoreContext": _STORAGE,
        "StorageDriverWorkflowInfo": _STORAGE,
        "StorageWarning": _STORAGE,
        "NexusSerializationContext": "there is no Nexus; call the other side's client in an activity",
        "encode_search_attribute_values": "search attributes are fields of the run's record",
        "encode_typed_search_attribute_value": "search attributes are fields of the run's record",
        "encode_search_attributes": "search attributes are fields of the run's record",
        "decode_search_attributes": "search attributes are fields of the run's record",
        "decode_typed_search_attributes": "search attributes are fields of the run's record",
    },
)
