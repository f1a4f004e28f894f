"""How to connect, from the environment: MEMFLOW_DSN first, then what Temporal's programs are configured with."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self, cast

from typing_extensions import TypedDict

from memflow.temporal.service import TLSConfig

DSN: Final = "MEMFLOW_DSN"

DataSource = str | Path | bytes


class ClientConnectConfig(TypedDict, total=False):
    """Arguments of `Client.connect`."""

    target_host: str
    namespace: str
    api_key: str
    tls: bool | TLSConfig
    rpc_metadata: Mapping[str, str]


class ClientConfigTLSDict(TypedDict, total=False):
    """TLS settings, as they stand in a file."""

    disabled: bool | None
    server_name: str
    server_ca_cert: Mapping[str, str]
    client_cert: Mapping[str, str]
    client_key: Mapping[str, str]


class ClientConfigProfileDict(TypedDict, total=False):
    """A profile, as it stands in a file."""

    address: str
    namespace: str
    api_key: str
    tls: ClientConfigTLSDict
    grpc_meta: Mapping[str, str]


@dataclass(frozen=True)
class ClientConfigTLS:
    """TLS settings. Accepted; say `sslmode` in the Postgres URL instead."""

    disabled: bool | None = None
    server_name: str | None = None
    server_root_ca_cert: DataSource | None = None
    client_cert: DataSource | None = None
    client_private_key: DataSource | None = None

    def to_dict(self) -> ClientConfigTLSDict:
        """As it stands in a file."""
        made = ClientConfigTLSDict()
        if self.disabled is not None:
            made["disabled"] = self.disabled
        if self.server_name is not None:
            made["server_name"] = self.server_name
        return made

    def to_connect_tls_config(self) -> bool | TLSConfig:
        """As an argument of `Client.connect`."""
        if self.disabled:
            return False
        return TLSConfig(
            server_root_ca_cert=_read(self.server_root_ca_cert),
            domain=self.server_name,
            client_cert=_read(self.client_cert),
            client_private_key=_read(self.client_private_key),
        )

    @classmethod
    def from_dict(cls, d: ClientConfigTLSDict | None) -> Self | None:
        """Read from a file's table; None for none."""
        if not d:
            return None
        return cls(d.get("disabled"), d.get("server_name"))


def _read(source: DataSource | None) -> bytes | None:
    match source:
        case None:
            return None
        case Path():
            return source.read_bytes()
        case str():
            return source.encode()
        case bytes():
            return source


@dataclass(frozen=True)
class ClientConfigProfile:
    """How to connect, under a name."""

    address: str | None = None
    namespace: str | None = None
    api_key: str | None = None
    tls: ClientConfigTLS | None = None
    grpc_meta: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def from_dict(cls, d: ClientConfigProfileDict) -> Self:
        """Read from a file's table."""
        return cls(
            d.get("address"),
            d.get("namespace"),
            d.get("api_key"),
            ClientConfigTLS.from_dict(d.get("tls")),
            d.get("grpc_meta", {}),
        )

    def to_dict(self) -> ClientConfigProfileDict:
        """As it stands in a file."""
        made = ClientConfigProfileDict()
        if self.address is not None:
            made["address"] = self.address
        if self.namespace is not None:
            made["namespace"] = self.namespace
        if self.api_key is not None:
            made["api_key"] = self.api_key
        if self.tls is not None:
            made["tls"] = self.tls.to_dict()
        if self.grpc_meta:
            made["grpc_meta"] = self.grpc_meta
        return made

    def to_client_connect_config(self) -> ClientConnectConfig:
        """As arguments of `Client.connect`."""
        made = ClientConnectConfig()
        if self.address is not None:
            made["target_host"] = self.address
        if self.namespace is not None:
            made["namespace"] = self.namespace
        if self.api_key is not None:
            made["api_key"] = self.api_key
        if self.tls is not None:
            made["tls"] = self.tls.to_connect_tls_config()
        if self.grpc_meta:
            made["rpc_metadata"] = self.grpc_meta
        return made

    @staticmethod
    def load(
        profile: str | None = None,
        *,
        config_source: DataSource | None = None,
        disable_file: bool = False,
        disable_env: bool = False,
        config_file_strict: bool = False,
        override_env_vars: Mapping[str, str] | None = None,
    ) -> ClientConfigProfile:
        """One profile, of a file and the environment; the environment goes first.

        Raises:
            RuntimeError: the named profile is not in the file.
        """
        env: Mapping[str, str] = os.environ if override_env_vars is None else override_env_vars
        named = profile or (None if disable_env else env.get("TEMPORAL_PROFILE")) or None
        found = ClientConfigProfile()
        if not disable_file:
            profiles = _profiles(config_source, env)
            if named is not None and named not in profiles:
                raise RuntimeError(f"Profile '{named}' not found in config file")
            found = profiles.get(named or "default", found)
        return found if disable_env else _with_environment(found, env)


@dataclass
class ClientConfig:
    """All profiles."""

    profiles: Mapping[str, ClientConfigProfile]

    def to_dict(self) -> Mapping[str, ClientConfigProfileDict]:
        """As they stand in a file."""
        return {name: profile.to_dict() for name, profile in self.profiles.items()}

    @classmethod
    def from_dict(cls, d: Mapping[str, Mapping[str, Any]]) -> Self:
        """Read from a file's tables."""
        return cls({name: ClientConfigProfile.from_dict(cast("ClientConfigProfileDict", each)) for name, each in d.items()})

    @staticmethod
    def load(
        *,
        config_source: DataSource | None = None,
        config_file_strict: bool = False,
        override_env_vars: Mapping[str, str] | None = None,
    ) -> ClientConfig:
        """All profiles of a file."""
        env: Mapping[str, str] = os.environ if override_env_vars is None else override_env_vars
        return ClientConfig(_profiles(config_source, env))

    @staticmethod
    def load_client_connect_config(
        profile: str | None = None,
        *,
        config_file: str | None = None,
        disable_file: bool = False,
        disable_env: bool = False,
        config_file_strict: bool = False,
        override_env_vars: Mapping[str, str] | None = None,
    ) -> ClientConnectConfig:
        """What to give to `Client.connect`: `target_host` is MEMFLOW_DSN where that is set, else TEMPORAL_ADDRESS, else the
        file's address. Without any of them it is left out."""
        found = ClientConfigProfile.load(
            profile,
            config_source=None if config_file is None else Path(config_file),
            disable_file=disable_file,
            disable_env=disable_env,
            config_file_strict=config_file_strict,
            override_env_vars=override_env_vars,
        )
        return found.to_client_connect_config()


def _profiles(source: DataSource | None, env: Mapping[str, str]) -> dict[str, ClientConfigProfile]:
    text = _text(source, env)
    if text is None:
        return {}
    tables: dict[str, Any] = tomllib.loads(text).get("profile", {})
    return {name: ClientConfigProfile.from_dict(table) for name, table in tables.items()}


def _text(source: DataSource | None, env: Mapping[str, str]) -> str | None:
    if isinstance(source, bytes):
        return source.decode()
    if isinstance(source, str):
        return source
    path = source
    if path is None:
        named = env.get("TEMPORAL_CONFIG_FILE")
        path = Path(named) if named else Path.home() / ".config" / "temporalio" / "temporal.toml"
    return path.read_text() if path.is_file() else None


def _with_environment(profile: ClientConfigProfile, env: Mapping[str, str]) -> ClientConfigProfile:
    return ClientConfigProfile(
        env.get(DSN) or env.get("TEMPORAL_ADDRESS") or profile.address,
        env.get("TEMPORAL_NAMESPACE") or profile.namespace,
        env.get("TEMPORAL_API_KEY") or profile.api_key,
        profile.tls,
        profile.grpc_meta,
    )
