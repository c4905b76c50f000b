"""The HTTP service: three routes for bots in any language, and three for whoever watches it.

In a FastAPI app of one's own, beside its other routes:

    from fastapi import FastAPI
    from leadsync.web import router

    app = FastAPI()
    app.include_router(router)

The router opens and closes what it needs with the app (its lifespan), takes the project as every command does
(LEADSYNC_CONFIG, else ./leadsync.yaml), and asks for LEADSYNC_API_KEY. `make_router("other/leadsync.yaml")` gives one
of another project, `create_app()` the whole app that `leadsync serve` runs.
"""

from leadsync.web.app import create_app
from leadsync.web.router import make_router, router
from leadsync.web.service import Service

__all__ = ["Service", "create_app", "make_router", "router"]
