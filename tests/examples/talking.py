"""A customer of the aiogram bot: two messages and a shared phone, without Telegram. Prints what the bot answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any

from aiogram import Bot
from aiogram.client.session.base import BaseSession
from aiogram.methods import SendMessage, TelegramMethod
from aiogram.types import Chat, Contact, Message, Update

from leadsync import Pipeline
from tests.examples.aiogram_bot import bot

IVAN = Chat(id=4711, type="private", first_name="Иван")
BEGIN = datetime(2026, 11, 1, 10, tzinfo=UTC)


class Nobody(BaseSession):
    """In place of Telegram's servers: takes what the bot sends, and prints it."""

    async def make_request(self, bot: Bot, method: TelegramMethod[Any], timeout: int | None = None) -> Any:  # noqa: ASYNC109
        assert isinstance(method, SendMessage)
        print(method.chat_id, method.text)
        return Message(message_id=1, date=BEGIN, chat=IVAN, text=method.text)

    async def stream_content(self, *args: Any, **more: Any) -> AsyncGenerator[bytes, None]:
        yield b""

    async def close(self) -> None:
        pass


async def main() -> None:
    """Say it all."""
    telegram = Bot("42:TOKEN", session=Nobody())
    contact = Contact(phone_number="+79161234567", first_name="Иван")
    said: list[dict[str, Any]] = [{"text": "Здравствуйте"}, {"text": "Сколько стоит?"}, {"contact": contact}]
    async with Pipeline.from_file("leadsync.yaml") as leads:
        for number, content in enumerate(said):
            at = BEGIN + timedelta(minutes=number)
            message = Message(message_id=number, date=at, chat=IVAN, **content)
            await bot.feed_update(telegram, Update(update_id=number, message=message), leads=leads)


asyncio.run(main())
