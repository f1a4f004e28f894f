"""How to connect, as Temporal's programs are configured: a file of profiles, and variables of the environment that go before it.

An address of Temporal's means MEMFLOW_DSN where it is used (`Client.connect`); here it stays as it was written.
"""

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

_KEYS: Final = frozenset({"address", "namespace", "api_key", "tls", "codec", "grpc_meta"})
_TLS_KEYS: Final = frozenset(
    {"disabled", "server_name", "disable_host_verification"}
    | {f"{name}_{form}" for name in ("client_cert", "client_key", "server_ca_cert") for form in ("path", "data")}
)


class ConfigError(RuntimeError):
    """The configuration cannot be read."""



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
        if self.server_root_ca_cert is not None:
            made["server_ca_cert"] = _source_to_dict(self.server_root_ca_cert)
        if self.client_cert is not None:
            made["client_cert"] = _source_to_dict(self.client_cert)
        if self.client_private_key is not None:
            made["client_key"] = _source_to_dict(self.client_private_key)
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
        return cls(
            d.get("disabled"),
            d.get("server_name"),
            _source_of(d.get("server_ca_cert")),
            _source_of(d.get("client_cert")),
            _source_of(d.get("client_key")),
        )


def _source_to_dict(source: DataSource) -> dict[str, str]:
    if isinstance(source, Path):
        return {"path": str(source)}
    return {"data": source if isinstance(source, str) else source.decode()}


def _source_of(table: Mapping[str, str] | None) -> DataSource | None:
    if not table:
        return None
    return Path(table["path"]) if "path" in table else table["data"]


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
        elif self.api_key is not None:
            made["tls"] = True
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
            ConfigError: the named profile is not in the file, or something cannot be read.
        """
        env: Mapping[str, str] = os.environ if override_env_vars is None else override_env_vars
        if disable_file and disable_env:
            raise ConfigError("Invalid configuration: Cannot disable both file and environment loading")
        if disable_env:
            env = {}
        named = profile or env.get("TEMPORAL_PROFILE") or None
        found = ClientConfigProfile()
        if not disable_file:
            profiles = _profiles(config_source, env, strict=config_file_strict)
            if named is not None and named not in profiles:
                raise ConfigError(f"Profile '{named}' not found")
            found = profiles.get(named or "default", found)
        return _with_environment(found, env)


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
        return ClientConfig(_profiles(config_source, env, strict=config_file_strict))

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
        """What to give to `Client.connect`: `target_host` is TEMPORAL_ADDRESS, else the file's address, else MEMFLOW_DSN. Without
        any of them it is left out."""
        found = ClientConfigProfile.load(
            profile,
            config_source=None if config_file is None else Path(config_file),
            disable_file=disable_file,
            disable_env=disable_env,
            config_file_strict=config_file_strict,
            override_env_vars=override_env_vars,
        )
        return found.to_client_connect_config()


def _profiles(source: DataSource | None, env: Mapping[str, str], *, strict: bool) -> dict[str, ClientConfigProfile]:
    text = _text(source, env)
    if text is None:
        return {}
    try:
        read = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise ConfigError(f"Configuration loading error: TOML parse error: {problem}") from None
    tables: dict[str, dict[str, Any]] = read.get("profile", {})
    if strict:
        _refuse_unknown(read, frozenset({"profile"}))
        for table in tables.values():
            _refuse_unknown(table, _KEYS)
            _refuse_unknown(table.get("tls", {}), _TLS_KEYS)
    return {name: _profile(table) for name, table in tables.items()}


def _refuse_unknown(table: Mapping[str, Any], allowed: frozenset[str]) -> None:
    for name in table:
        if name not in allowed:
            known = ", ".join(sorted(allowed))
            raise ConfigError(f"Configuration loading error: TOML parse error: unknown field `{name}`, expected one of {known}")


def _profile(table: Mapping[str, Any]) -> ClientConfigProfile:
    tls: Mapping[str, Any] | None = table.get("tls")
    return ClientConfigProfile(
        table.get("address"),
        table.get("namespace"),
        table.get("api_key"),
        None if tls is None else _tls(tls),
        {_meta_name(name): value for name, value in table.get("grpc_meta", {}).items()},
    )


def _tls(table: Mapping[str, Any]) -> ClientConfigTLS:
    return ClientConfigTLS(
        table.get("disabled"),
        table.get("server_name"),
        _either(table, "server_ca_cert"),
        _either(table, "client_cert"),
        _either(table, "client_key"),
    )


def _either(table: Mapping[str, Any], name: str) -> DataSource | None:
    path, data = table.get(f"{name}_path"), table.get(f"{name}_data")
    if path is not None and data is not None:
        raise ConfigError(f"Invalid configuration: Cannot specify both {name}_path and {name}_data")
    if path is not None:
        return Path(path)
    return None if data is None else str(data).encode()


def _meta_name(name: str) -> str:
    return name.lower().replace("_", "-")


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


_META: Final = "TEMPORAL_GRPC_META_"
_WORDS: Final = {"true": True, "1": True, "false": False, "0": False}


def _with_environment(profile: ClientConfigProfile, env: Mapping[str, str]) -> ClientConfigProfile:
    meta = dict(profile.grpc_meta)
    for name, value in env.items():
        if name.startswith(_META):
            meta[_meta_name(name.removeprefix(_META))] = value
    return ClientConfigProfile(
        env.get("TEMPORAL_ADDRESS") or profile.address or env.get(DSN) or None,
        env.get("TEMPORAL_NAMESPACE") or profile.namespace,
        env.get("TEMPORAL_API_KEY") or profile.api_key,
        _tls_with_environment(profile.tls, env),
        {name: value for name, value in meta.items() if value},
    )


def _tls_with_environment(tls: ClientConfigTLS | None, env: Mapping[str, str]) -> ClientConfigTLS | None:
    told = {
        name.removeprefix("TEMPORAL_TLS_").lower(): value
        for name, value in env.items()
        if name.startswith("TEMPORAL_TLS_") and value
    }
    word = env.get("TEMPORAL_TLS")
    if not told and not word:
        return tls
    for form in ("client_cert", "client_key", "server_ca_cert"):
        if f"{form}_path" in told and f"{form}_data" in told:
            named = f"TEMPORAL_TLS_{form.upper()}"
            raise ConfigError(f"Invalid configuration: Cannot specify both {named}_PATH and {named}_DATA")
    given = _tls(told)
    before = tls or ClientConfigTLS()
    disabled = before.disabled
    if word:
        disabled = disabled if word.lower() not in _WORDS else not _WORDS[word.lower()]
    return ClientConfigTLS(
        disabled,
        given.server_name or before.server_name,
        given.server_root_ca_cert or before.server_root_ca_cert,
        given.client_cert or before.client_cert,
        given.client_private_key or before.client_private_key,
    )
