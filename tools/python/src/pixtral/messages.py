"""Conversations in the form of OpenAI's requests, put into a session."""

from __future__ import annotations

import json
from typing import Any, Iterable, List, Mapping, Sequence

from ._native import check, ffi, lib, text
from .images import ImageLoader

#: A message: "role", "content" and what else the role has.
Message = Mapping[str, Any]
#: Messages, oldest first.
Conversation = List[Message]

ROLES = {
    "system": lib.PIXTRAL_ROLE_SYSTEM,
    "developer": lib.PIXTRAL_ROLE_SYSTEM,
    "user": lib.PIXTRAL_ROLE_USER,
    "assistant": lib.PIXTRAL_ROLE_ASSISTANT,
    "tool": lib.PIXTRAL_ROLE_TOOL,
}

#: Keys of a part's picture by the part's type.
IMAGE_TYPES = ("image_url", "image_pil", "image")


def fill(session: Any, messages: Sequence[Message], images: ImageLoader, limit: int | None) -> None:
    """Makes `messages` the session's, with at most `limit` pictures in each."""
    check(lib.pixtral_session_truncate(session, 0))
    for number, message in enumerate(messages):
        handle = build(message, f"messages[{number}]", images, limit)
        check(lib.pixtral_session_add_message(session, handle))


def build(message: Message, path: str, images: ImageLoader, limit: int | None) -> Any:
    """The handle of a message, which frees itself."""
    if not isinstance(message, Mapping):
        raise TypeError(f"{path}: expected a dict, found {type(message).__name__}")
    role = message.get("role")
    if role not in ROLES:
        raise ValueError(f"{path}.role: there is no role {role!r}, expected one of {list(ROLES)}")
    place = ffi.new("pixtral_message **")
    check(lib.pixtral_message_new(ROLES[role], place))
    handle = ffi.gc(place[0], lib.pixtral_message_free)
    count = 0
    for where, part in parts(message.get("content"), f"{path}.content"):
        if isinstance(part, str):
            check(lib.pixtral_message_add_text(handle, *text(part)))
            continue
        count += 1
        if limit is not None and count > limit:
            raise ValueError(f"{path}: has more than {limit} pictures, the limit_mm_per_prompt")
        try:
            image = images.load(part[0])
        except (TypeError, ValueError) as e:
            raise type(e)(f"{where}: {e}") from e
        check(lib.pixtral_message_add_image(handle, image))
    for call in message.get("tool_calls") or []:
        add_call(handle, call)
    if role == "tool":
        check(lib.pixtral_message_set_call_id(handle, *text(message.get("tool_call_id", ""))))
    if message.get("prefix"):
        check(lib.pixtral_message_set_prefix(handle))
    return handle


def parts(content: Any, path: str) -> Iterable[tuple[str, Any]]:
    """Texts, and pictures as tuples of one, each with where it stands."""
    if content is None:
        return
    if isinstance(content, str):
        yield path, content
        return
    if not isinstance(content, Sequence):
        found = type(content).__name__
        raise TypeError(f"{path}: expected a string or a list of parts, found {found}")
    for number, part in enumerate(content):
        where = f"{path}[{number}]"
        if isinstance(part, str):
            yield where, part
            continue
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind == "text" and isinstance(part.get("text"), str):
            yield where, part["text"]
        elif kind in IMAGE_TYPES and kind in part:
            source = part[kind]
            if isinstance(source, Mapping):
                source = source.get("url")
            yield where, (source,)
        else:
            raise ValueError(
                f"{where}: expected a part of the type text or one of {list(IMAGE_TYPES)} with its "
                f"content under that name, found {part!r:.80}"
            )


def add_call(handle: Any, call: Mapping[str, Any]) -> None:
    """Adds a call of a tool to the assistant's message."""
    function = call.get("function", {})
    arguments = function.get("arguments", "")
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments)
    check(
        lib.pixtral_message_add_tool_call(
            handle,
            *text(call.get("id", "")),
            *text(function.get("name", "")),
            *text(arguments),
        )
    )
