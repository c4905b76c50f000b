"""A Telegram bot with aiogram: every message becomes part of its talk's lead."""

from aiogram import Bot, Dispatcher
from aiogram.types import Message

from leadsync import Pipeline

bot = Dispatcher()


@bot.message()
async def said(message: Message, leads: Pipeline) -> None:
    phone = message.contact.phone_number if message.contact else None
    said = {"role": "user", "text": message.text, "at": message.date}
    talk = {"id": message.chat.id, "user_name": message.chat.full_name, "phone": phone, "messages": [said]}
    result = await leads.push({"source": "telegram", **talk})
    await message.answer("Спасибо, мы скоро ответим!" if result.success else "Спасибо, мы перезвоним.")


async def main(token: str) -> None:
    async with Pipeline.from_file("leadsync.yaml") as leads:
        await bot.start_polling(Bot(token), leads=leads)
