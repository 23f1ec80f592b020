"""The catalog's tables, as this release makes them. `PRAGMA user_version` numbers the layout.

A change here raises LAYOUT and needs a step in `migrations`, which brings older catalogs to it.
"""

from __future__ import annotations

FILE = "catalog.sqlite"
LAYOUT = 2
APPLICATION = 0x76697373  # "viss"

PINS = """
CREATE TABLE pins (
  pin INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  uri TEXT NOT NULL,
  source INTEGER REFERENCES sources,
  hash BLOB,
  stamp TEXT,
  row INTEGER NOT NULL UNIQUE,
  named INTEGER NOT NULL,
  attributes TEXT NOT NULL DEFAULT '{}',
  added REAL NOT NULL
);
CREATE INDEX pins_uri ON pins (uri);
CREATE INDEX pins_hash ON pins (hash);
CREATE INDEX pins_source ON pins (source);
"""
CHANGES = """
CREATE TABLE changes (number INTEGER PRIMARY KEY AUTOINCREMENT, pin INTEGER NOT NULL);
CREATE TRIGGER pins_altered AFTER UPDATE OF id, uri, attributes ON pins
  WHEN OLD.id IS NOT NEW.id OR OLD.uri IS NOT NEW.uri OR OLD.attributes IS NOT NEW.attributes
  BEGIN INSERT INTO changes (pin) VALUES (OLD.pin); END;
CREATE TRIGGER pins_removed AFTER DELETE ON pins BEGIN INSERT INTO changes (pin) VALUES (OLD.pin); END;
"""
"""A log of the pins that were altered or removed, so that a reader which knows an earlier state reads these alone.

Added pins need no entry: their numbers are above all that were given before. Triggers keep the log: no writer can forget it.
"""
SCHEMA = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE sources (source INTEGER PRIMARY KEY, uri TEXT NOT NULL UNIQUE, kind TEXT NOT NULL);
{PINS}
CREATE TABLE regions (row INTEGER PRIMARY KEY, pin INTEGER NOT NULL, x0 REAL, y0 REAL, x1 REAL, y1 REAL);
CREATE INDEX regions_pin ON regions (pin);
CREATE TABLE dead (row INTEGER PRIMARY KEY);
CREATE TABLE segments (
  segment INTEGER PRIMARY KEY, file TEXT NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL,
  pins BLOB NOT NULL, rows BLOB
);
CREATE TABLE generations (
  generation INTEGER PRIMARY KEY, file TEXT NOT NULL, preset TEXT NOT NULL, factory TEXT NOT NULL,
  search TEXT NOT NULL, covers INTEGER NOT NULL, bytes INTEGER NOT NULL, recall REAL, created REAL NOT NULL
);
CREATE TABLE failures (uri TEXT PRIMARY KEY, id TEXT, source INTEGER, reason TEXT, remedy TEXT, at REAL) WITHOUT ROWID;
CREATE TABLE names (name TEXT PRIMARY KEY) WITHOUT ROWID;
{CHANGES}
"""
