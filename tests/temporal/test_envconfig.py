"""How programs are configured: a file of profiles, and the environment before it."""

from __future__ import annotations

from pathlib import Path

import pytest

from memflow.temporal.client import TLSConfig
from memflow.temporal.envconfig import ClientConfig, ClientConfigProfile, ClientConfigTLS

FILE = """
[profile.default]
address = "here:7233"
namespace = "mine"

[profile.default.grpc_meta]
Some_Header = "1"

[profile.sealed]
api_key = "key"

[profile.sealed.tls]
server_name = "there"
client_cert_data = "cert"
client_key_path = "/secret/key"

[profile.open.tls]
disabled = true

[profile.keyed]
api_key = "key"
"""


def load(profile: str | None = None, **env: str) -> ClientConfigProfile:
    return ClientConfigProfile.load(profile, config_source=FILE, override_env_vars=env)


def test_a_profile_is_read_from_a_file_and_given_to_connect() -> None:
    assert load() == ClientConfigProfile("here:7233", "mine", grpc_meta={"some-header": "1"})
    assert load().to_client_connect_config() == {
        "target_host": "here:7233", "namespace": "mine", "rpc_metadata": {"some-header": "1"},
    }  # fmt: skip
    sealed = load("sealed")
    assert sealed.tls == ClientConfigTLS(None, "there", None, b"cert", Path("/secret/key"))
    assert sealed.to_dict() == {
        "api_key": "key",
        "tls": {"server_name": "there", "client_cert": {"data": "cert"}, "client_key": {"path": "/secret/key"}},
    }
    assert ClientConfigProfile.from_dict(sealed.to_dict()).to_dict() == sealed.to_dict()
    assert load("open").to_client_connect_config() == {"tls": False}
    assert load("keyed").to_client_connect_config() == {"api_key": "key", "tls": True}
    assert set(ClientConfig.load(config_source=FILE, override_env_vars={}).profiles) == {"default", "sealed", "open", "keyed"}


def test_the_environment_goes_before_the_file() -> None:
    found = load(
        TEMPORAL_ADDRESS="env:7233", TEMPORAL_NAMESPACE="theirs", TEMPORAL_API_KEY="k",
        TEMPORAL_GRPC_META_SOME_HEADER="2", TEMPORAL_GRPC_META_OTHER="3",
        TEMPORAL_TLS_SERVER_NAME="env", TEMPORAL_TLS_SERVER_CA_CERT_DATA="ca",
    )  # fmt: skip
    assert (found.address, found.namespace, found.api_key) == ("env:7233", "theirs", "k")
    assert found.grpc_meta == {"some-header": "2", "other": "3"}
    assert found.tls == ClientConfigTLS(None, "env", b"ca")
    assert isinstance(found.to_client_connect_config().get("tls"), TLSConfig)
    assert load(TEMPORAL_GRPC_META_SOME_HEADER="").grpc_meta == {}
    assert load(TEMPORAL_TLS="false").tls == ClientConfigTLS(True)
    assert load(TEMPORAL_PROFILE="keyed").api_key == "key"
    quiet = ClientConfigProfile.load(config_source=FILE, disable_env=True, override_env_vars={"TEMPORAL_ADDRESS": "env"})
    assert quiet.address == "here:7233"


def test_memflows_own_variable_is_for_where_no_address_is_written() -> None:
    assert load(MEMFLOW_DSN="postgresql://db").address == "here:7233"
    assert load("keyed", MEMFLOW_DSN="postgresql://db").address == "postgresql://db"
    bare = ClientConfig.load_client_connect_config(disable_file=True, override_env_vars={"MEMFLOW_DSN": "postgresql://db"})
    assert bare == {"target_host": "postgresql://db"}
    assert ClientConfig.load_client_connect_config(disable_file=True, override_env_vars={}) == {}


@pytest.mark.parametrize(
    ("source", "strict", "said"),
    [
        ("no toml", False, "TOML parse error"),
        ("[profile.default]\nadress = 'x'", True, "unknown field `adress`, expected one of address"),
        ("[profile.default.tls]\nclient_cert_path = 'a'\nclient_cert_data = 'b'", False, "Cannot specify both client_cert_path"),
    ],
)
def test_what_cannot_be_read_says_why(source: str, strict: bool, said: str) -> None:
    with pytest.raises(RuntimeError, match=said):
        ClientConfigProfile.load(config_source=source, config_file_strict=strict, override_env_vars={})


def test_a_profile_that_is_not_there_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="Profile 'other' not found"):
        load("other")
    with pytest.raises(RuntimeError, match="Cannot disable both"):
        ClientConfigProfile.load(disable_file=True, disable_env=True)
    with pytest.raises(RuntimeError, match="Cannot specify both TEMPORAL_TLS_CLIENT_KEY_PATH"):
        load(TEMPORAL_TLS_CLIENT_KEY_PATH="a", TEMPORAL_TLS_CLIENT_KEY_DATA="b")
