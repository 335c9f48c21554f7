"""Questions that confluent-kafka does not ask: one connection, one question at a time, blocking.

The first question on every connection is ApiVersions; every other is asked in the newest version
that both sides know, or fails with a line that says that the broker does not serve it. Main thread
only. Plaintext only: a settings file that asks for TLS or SASL is refused in one line.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from struct import Struct
from typing import Self, TypeVar, cast

from kstore.cli.errors import CallError, CommandError
from kstore.errors import ErrorCode
from kstore.wire.codec import decode_response, encode_request
from kstore.wire.headers import RequestHeader, decode_response_header, encode_request_header
from kstore.wire.messages import MODULES
from kstore.wire.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from kstore.wire.schema import Request, Response

__all__ = ["WireClient", "check_error", "error_name"]

ResponseT = TypeVar("ResponseT", bound=Response)

CLIENT_ID = "kstore"

# No honest answer to a command is larger; a length beyond it is no Kafka broker's.
_MAX_RESPONSE_SIZE = 256 * 1024 * 1024

_SIZE = Struct(">i")

# The newest version first; a broker that does not know it answers in version 0 (KIP-511). All since
# Kafka 2.4 know version 3; version 4 alone names features that may be off.
_API_VERSIONS_VERSIONS = (4, 3)

_UNSUPPORTED = int(ErrorCode.UNSUPPORTED_VERSION).to_bytes(2, "big")


def error_name(code: int) -> str:
    """Kafka's name of an error code of a response."""
    try:
        return ErrorCode(code).name
    except ValueError:
        return f"error {code}"


def check_error(code: int, what: str, message: str | None = None) -> None:
    """Raises `CommandError` for an error code of a response; `what` names what was asked of."""
    if code != ErrorCode.NONE:
        raise CommandError(f"{what}: {message or error_name(code)}")


class WireClient:
    """One connection to one broker. Close it, or use it in a `with`."""

    def __init__(self, host: str, port: int, *, timeout_s: float) -> None:
        self.address = f"{host}:{port}"
        self._correlation_id = 0
        try:
            self._socket = socket.create_connection((host, port), timeout=timeout_s)
        except OSError as error:
            raise self._failed(error) from None
        try:
            self.versions = self._api_versions()
        except BaseException:
            self.close()
            raise

    @classmethod
    def connect(cls, servers: str, settings: Mapping[str, str], *, timeout_s: float) -> Self:
        """A connection to the first of `servers` that takes one. Raises `CommandError`."""
        protocol = settings.get("security.protocol", "PLAINTEXT")
        if protocol.upper() != "PLAINTEXT":
            raise CallError(f"this command speaks PLAINTEXT only, not security.protocol={protocol}")
        failure: CommandError | None = None
        for server in servers.split(","):
            host, colon, port = server.strip().rpartition(":")
            if not colon or not port.isdecimal() or int(port) > 65535:
                raise CallError(f"--bootstrap-server {server.strip()}: want HOST:PORT")
            try:
                return cls(host.strip("[]"), int(port), timeout_s=timeout_s)
            except CommandError as error:
                failure = failure or error
        assert failure is not None
        raise failure

    def ask(self, request: Request, response_type: type[ResponseT]) -> ResponseT:
        """The answer to a request. Raises `CommandError`, also where the API is not served."""
        key = request.API_KEY
        served = {one.api_key: one for one in self.versions.api_keys}.get(key)
        newest = -1 if served is None else min(served.max_version, request.VERSIONS.max)
        if served is None or newest < max(served.min_version, request.VERSIONS.min):
            name = MODULES[key].name
            raise CommandError(f"the broker at {self.address} does not serve {name} (API {key})")
        return self._decode(self._send(request, newest), newest, response_type)

    def _api_versions(self) -> ApiVersionsResponse:
        request = ApiVersionsRequest(client_software_name="kstore", client_software_version="1")
        for version in _API_VERSIONS_VERSIONS:
            data = self._send(request, version)
            if data[4:6] != _UNSUPPORTED:
                answer = self._decode(data, version, ApiVersionsResponse)
                check_error(answer.error_code, f"ApiVersions at {self.address}")
                return answer
        raise CommandError(f"the broker at {self.address} is older than Kafka 2.4")

    def _send(self, request: Request, version: int) -> bytes:
        """Sends a request and gives the whole response, header included."""
        self._correlation_id += 1
        header = RequestHeader(request.API_KEY, version, self._correlation_id, CLIENT_ID)
        try:
            frame = encode_request_header(header) + encode_request(request, version)
        except ValueError as error:
            raise CommandError(f"the broker at {self.address} is too old: {error}") from None
        try:
            self._socket.sendall(_SIZE.pack(len(frame)) + frame)
            (size,) = _SIZE.unpack(self._receive(_SIZE.size))
            if not 0 <= size <= _MAX_RESPONSE_SIZE:
                raise CommandError(f"{self.address} does not speak Kafka's protocol")
            return self._receive(size)
        except OSError as error:
            raise self._failed(error) from None

    def _decode(self, data: bytes, version: int, response_type: type[ResponseT]) -> ResponseT:
        key = response_type.API_KEY
        try:
            correlation_id, position = decode_response_header(key, version, data)
            answer = decode_response(key, version, data, position)
        except ValueError as error:
            raise CommandError(f"{self.address} answered what can't be read: {error}") from None
        if correlation_id != self._correlation_id:
            raise CommandError(f"{self.address} answered another question")
        return cast(ResponseT, answer)

    def _receive(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            part = self._socket.recv(min(size - len(data), 1 << 20))
            if not part:
                raise ConnectionResetError("the broker closed the connection")
            data += part
        return bytes(data)

    def _failed(self, error: OSError) -> CommandError:
        reason = "no answer in time" if isinstance(error, TimeoutError) else error.strerror or error
        return CommandError(f"no broker answers at {self.address}: {reason}")

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
