"""For alembic's own command line: developers run `alembic revision`; the product migrates by `bridge.store.schema`."""

import os

from alembic import context

from bridge.store.engine import Database
from bridge.tables import metadata

with Database(os.environ.get("BRIDGE_DATABASE_URL", "sqlite:///consent.db")).engine.begin() as db:
    context.configure(connection=db, target_metadata=metadata, render_as_batch=True)
    context.run_migrations()
