"""The shapes of Dapr's own resources, as its CRDs have them, for what is used here; an unknown field is refused.

https://github.com/dapr/dapr/tree/release-1.18/charts/dapr/crds
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Shape(BaseModel):
    """A part of a resource."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Metadata(Shape):
    """What a resource is called."""

    name: str
    namespace: str | None = None


class Resource(Shape):
    """Any of Dapr's resources."""

    apiVersion: Literal["dapr.io/v1alpha1"]  # noqa: N815
    kind: str
    metadata: Metadata


class SecretKeyRef(Shape):
    """A value of a Secret."""

    name: str
    key: str


class NameValue(Shape):
    """One setting of a component, from one of three places."""

    name: str
    value: str | None = None
    secretKeyRef: SecretKeyRef | None = None  # noqa: N815
    envRef: str | None = None  # noqa: N815


class ComponentSpec(Shape):
    """What a component is."""

    type: str
    version: str
    metadata: list[NameValue]


class Auth(Shape):
    """Where a component's secrets are."""

    secretStore: str  # noqa: N815


class Component(Resource):
    """https://docs.dapr.io/reference/resource-specs/component-schema/"""

    spec: ComponentSpec
    auth: Auth | None = None
    scopes: list[str]


class MTLS(Shape):
    """Dapr's CRD demands these three."""

    enabled: bool
    controlPlaneTrustDomain: str  # noqa: N815
    sentryAddress: str  # noqa: N815


class AppPolicy(Shape):
    """What one caller may do. Dapr refuses a policy without namespace or trust domain."""

    appId: str  # noqa: N815
    defaultAction: Literal["allow", "deny"]  # noqa: N815
    trustDomain: str  # noqa: N815
    namespace: str


class AccessControl(Shape):
    """Who may call."""

    defaultAction: Literal["allow", "deny"]  # noqa: N815
    trustDomain: str  # noqa: N815
    policies: list[AppPolicy] = []


class Otel(Shape):
    """Where spans go."""

    endpointAddress: str  # noqa: N815
    protocol: Literal["grpc", "http"]
    isSecure: bool  # noqa: N815


class Tracing(Shape):
    """Which spans are reported."""

    samplingRate: str  # noqa: N815
    otel: Otel


class NameResolution(Shape):
    """How an app id becomes an address."""

    component: str
    version: str
    configuration: dict[str, str]


class ConfigurationSpec(Shape):
    """What a sidecar is told."""

    mtls: MTLS | None = None
    accessControl: AccessControl | None = None  # noqa: N815
    tracing: Tracing | None = None
    nameResolution: NameResolution | None = None  # noqa: N815


class Configuration(Resource):
    """https://docs.dapr.io/reference/resource-specs/configuration-schema/"""

    spec: ConfigurationSpec


class Matching(Shape):
    """Which responses are retried."""

    httpStatusCodes: str  # noqa: N815


class Retry(Shape):
    """One policy."""

    policy: Literal["constant", "exponential"]
    duration: str
    maxRetries: int  # noqa: N815
    matching: Matching


class Policies(Shape):
    """The policies by name."""

    retries: dict[str, Retry]


class AppTarget(Shape):
    """What holds for calls to one app."""

    retry: str


class Targets(Shape):
    """What policies are for."""

    apps: dict[str, AppTarget]


class ResiliencySpec(Shape):
    """What is repeated."""

    policies: Policies
    targets: Targets


class Resiliency(Resource):
    """https://docs.dapr.io/reference/resource-specs/resiliency-schema/"""

    spec: ResiliencySpec
    scopes: list[str] = Field(default_factory=list)


SHAPES: dict[str, type[Resource]] = {"Component": Component, "Configuration": Configuration, "Resiliency": Resiliency}

ANNOTATIONS = frozenset(
    {
        "api-token-secret",
        "app-id",
        "app-port",
        "app-protocol",
        "app-token-secret",
        "block-shutdown-duration",
        "config",
        "disable-builtin-k8s-secret-store",
        "enable-native-sidecar",
        "enabled",
        "graceful-shutdown-seconds",
        "internal-grpc-port",
        "log-as-json",
        "metrics-port",
        "placement-host-address",
        "scheduler-host-address",
        "sidecar-cpu-request",
        "sidecar-memory-limit",
        "sidecar-memory-request",
        "sidecar-seccomp-profile-type",
    }
)
"""Of the names that Dapr's injector knows, those used here. It ignores any other name without a word.

https://github.com/dapr/dapr/blob/release-1.18/pkg/injector/annotations/annotations.go
"""
