"""What a request holds, and what it is answered with: JSON, errors too."""

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from charlstm.errors import CharLSTMError, Command, Setting, UnknownCharactersError

BROKEN = "Something in charlstm is broken; what, stands where charlstm serve was started."
"""What is said of a mistake that is nobody's but ours."""


class Refused(Exception):  # noqa: N818 (it is an answer, and nothing that went wrong here)
    """A request that is not answered as its sender wished.

    Args:
        message: one sentence: what was wrong, where, what to do.
        status: of the answer.
        param: the part of the request that was wrong.
        code: by which a program knows the error.
    """

    def __init__(
        self, message: str, status: int = 400, *, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.message, self.status, self.param, self.code = message, status, param, code

    @property
    def body(self) -> dict[str, Any]:
        """The answer, in the shape that clients of such interfaces know."""
        kind = _KINDS.get(self.status, "invalid_request_error")
        told = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return {"error": told}


_KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    500: "server_error",
    503: "server_error",
}


def refusal(error: CharLSTMError) -> Refused:
    """Return an error of the library as an answer to who can mend it."""
    setting = next((part for part in error.message.parts if isinstance(part, Setting)), None)
    param = None if setting is None else setting.name
    if isinstance(error, UnknownCharactersError):
        param = "prompt"
    return Refused(error.message.told(named), param=param)


def named(part: Setting | Command) -> str:
    """Return what a message calls a setting or a command, as a request says it."""
    if isinstance(part, Command):
        return {"train": "a new model", "novelty": "novelty"}.get(part.name, "going on with it")
    if part.value is ...:
        return f'"{part.name}"'
    return f'"{part.name}": {json.dumps(part.value, ensure_ascii=False, default=list)}'


class _Json(JSONResponse):
    """An answer that can be sent whatever characters are in it, halves of some as well."""

    def render(self, content: Any) -> bytes:
        told = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return told.encode(errors="replace")


def answer(value: Any, status: int = 200) -> JSONResponse:
    """Return a value as JSON."""
    return _Json(value, status)


def failed(refused: Refused) -> JSONResponse:
    """Return a refusal as JSON."""
    return answer(refused.body, refused.status)


async def asked(request: Request) -> dict[str, Any]:
    """Return the JSON object that a request holds.

    Raises:
        Refused: it holds none.
    """
    body = await request.body()
    try:
        value = json.loads(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Refused(
            f"The request is not UTF-8: byte {error.start:,} cannot be read. Send UTF-8."
        ) from None
    except (ValueError, RecursionError) as error:
        raise Refused(f"The request is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise Refused("The request must be a JSON object, such as {}.")
    return value
