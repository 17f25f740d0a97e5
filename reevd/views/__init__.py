"""Views: what a run did, as text that people read. Pure: rows of the database in, text out."""
