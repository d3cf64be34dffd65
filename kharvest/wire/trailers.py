"""The keys of a refusal's trailing metadata."""

REASON_KEY = "kharvest-reason"
"""The name of a `kharvest.v2.Reason`, for programs to switch on."""
PUSHBACK_KEY = "grpc-retry-pushback-ms"
"""When to try again, in milliseconds; where it is missing, trying again changes nothing."""
