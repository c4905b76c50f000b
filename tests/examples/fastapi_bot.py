"""A Telegram bot by webhook, in a FastAPI app of its own that has leadsync's routes, too."""

from typing import Any

from fastapi import FastAPI

from leadsync.web import Service, make_router

leads = Service("leadsync.yaml")
app = FastAPI()
app.include_router(make_router(leads))  # opens and closes with the app; adds /api/v1/amocrm/…, /ready, /metrics


@app.post("/telegram")
async def said(update: dict[str, Any]) -> dict[str, Any]:
    message, chat = update["message"], update["message"]["chat"]
    said = {"role": "user", "text": message.get("text"), "at": message["date"]}
    result = await leads.push({"id": chat["id"], "user_name": chat["first_name"], "messages": [said]})
    answer = "Спасибо, мы скоро ответим!" if result.success else "Спасибо, мы перезвоним."
    return {"method": "sendMessage", "chat_id": chat["id"], "text": answer}
