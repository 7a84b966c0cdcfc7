"""From what is known of devices to the text of a scrape, and to tables for people."""
