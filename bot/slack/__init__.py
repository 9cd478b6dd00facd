"""The Slack room: everything that enters from Slack and everything that leaves to it.

The only importer of slack_bolt and slack_sdk. ``render`` turns outbox rows into messages (pure),
``sender`` delivers them and looks them up again, ``app`` hears commands, clicks, forms and reactions.
"""
