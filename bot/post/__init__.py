"""What leaves besides Slack: mails by SMTP, and calls of a hook by HTTP."""
