"""The body of a request, as far as its limit and no longer than its time."""

import asyncio

from starlette.requests import ClientDisconnect, Request

from cloud.console import forms
from cloud.console.forms import Form, invalid
from cloud.console.limits import ConsoleLimits
from cloud.errors import CloudReason, RequestError


async def read_form(request: Request, limits: ConsoleLimits, *, upload: bool) -> Form:
    """The form of a request; RequestError where it is too large, too slow or no form."""
    largest = limits.upload_bytes if upload else limits.form_bytes
    seconds = limits.upload_seconds if upload else limits.request_seconds
    told = request.headers.get("content-length", "")
    if told.isdecimal() and int(told) > largest:
        raise _too_large(largest)
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > largest:
                    raise _too_large(largest)
    except TimeoutError as error:
        raise RequestError(
            CloudReason.REQUEST_LATE, f"form: expected all of it within {seconds:g} s"
        ) from error
    except ClientDisconnect as error:
        raise invalid("broken off") from error
    kind = request.headers.get("content-type", "")
    return await asyncio.to_thread(forms.read, kind, bytes(body))


def _too_large(largest: int) -> RequestError:
    return RequestError(CloudReason.REQUEST_TOO_LARGE, f"form: expected at most {largest} bytes")
