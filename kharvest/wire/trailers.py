"""What a refusal says: the keys of its trailing metadata, and words for a peer that refuses every call."""

REASON_KEY = "kharvest-reason"
"""The name of a `kharvest.v2.Reason`, for programs to switch on."""
PUSHBACK_KEY = "grpc-retry-pushback-ms"
"""When to try again, in milliseconds; where it is missing, trying again changes nothing."""
UNKNOWN_METHOD = "it does not speak kharvest.v2, or is older than this program"
"""In place of gRPC's words for UNIMPLEMENTED, which name neither the cause nor the peer."""
