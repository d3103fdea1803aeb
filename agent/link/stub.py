"""The type of the service's client, which exists in the generated types only."""

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from bulkhead.v1.sensor_service_pb2_grpc import SensorServiceAsyncStub

Stub: TypeAlias = "SensorServiceAsyncStub"
