"""The revisions of the schema; ``bot.store.migrate`` applies them."""
