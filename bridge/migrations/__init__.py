"""The road from an empty database to today's schema; run by `consent-bridge db upgrade`."""
