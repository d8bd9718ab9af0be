"""The application with its real counterparts, for a server: ``granian --interface wsgi
wsgi:app``."""

from api.app import create_app
from config import read_settings
from journeys.counterparts import registry
from models import db, durability, queue, sealing, waiting

settings = read_settings()
db.connect(settings.database_url, connections=settings.database_connections)
if settings.production:
    durability.refuse_forgetful()
sealing.use_keys(settings.sealing_keys, settings.index_key)
waiting.at_most(settings.outside_at_once)
queue.use_clock_shift(settings.clock_shift)
app = create_app(settings, registry(settings))
