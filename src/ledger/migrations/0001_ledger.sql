-- What the daemon must know after a restart. No foreign keys: a call, a pause or an event
-- stands by itself, with or without a value. A stamp is three columns: wall time and boot
-- time in milliseconds, and the boot that the boot time belongs to.

-- One row per credential. `generation` is the fence and outlives the value: a forgotten
-- value leaves the row with `value` and `fingerprint` NULL.
CREATE TABLE stored_values (
    appid TEXT NOT NULL,
    kind TEXT NOT NULL,
    generation INTEGER NOT NULL,
    committed INTEGER NOT NULL, -- the highest attempt that brought this string; no earlier one matters
    fingerprint TEXT,
    value BLOB,                 -- UTF-8, or nonce and ciphertext when seal_key is set
    seal_key TEXT,              -- id of the key that seals it; NULL: in clear
    mode TEXT NOT NULL,
    issued_wall INTEGER NOT NULL,
    issued_boot INTEGER NOT NULL,
    issued_boot_id TEXT NOT NULL,
    confirmed_wall INTEGER NOT NULL,
    confirmed_boot INTEGER NOT NULL,
    confirmed_boot_id TEXT NOT NULL,
    life_ms INTEGER NOT NULL,
    verify_wall INTEGER,
    verify_boot INTEGER,
    verify_boot_id TEXT,
    age_known INTEGER NOT NULL,
    dead INTEGER NOT NULL,
    PRIMARY KEY (appid, kind)
) STRICT, WITHOUT ROWID;

-- One row per upstream call: intent, doubt and budget in one.
CREATE TABLE calls (
    appid TEXT NOT NULL,
    kind TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    mode TEXT NOT NULL,
    cause TEXT NOT NULL,
    sent_wall INTEGER NOT NULL,
    sent_boot INTEGER NOT NULL,
    sent_boot_id TEXT NOT NULL,
    ended TEXT,                 -- issued, refused, never_sent, unknown, settled; NULL: open
    errcode INTEGER,            -- what WeChat refused with
    PRIMARY KEY (appid, kind, attempt)
) STRICT, WITHOUT ROWID;

CREATE TABLE pauses (
    appid TEXT NOT NULL,
    kind TEXT NOT NULL,
    until_wall INTEGER NOT NULL,
    until_boot INTEGER NOT NULL,
    until_boot_id TEXT NOT NULL,
    PRIMARY KEY (appid, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at_wall INTEGER NOT NULL,
    appid TEXT,                 -- NULL: about the daemon as a whole
    kind TEXT,
    what TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;

CREATE INDEX events_of_account ON events (appid, id);

-- When a corrupt ledger was set aside, and under which name.
CREATE TABLE set_asides (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at_wall INTEGER NOT NULL,
    at_boot INTEGER NOT NULL,
    at_boot_id TEXT NOT NULL,
    file TEXT NOT NULL
) STRICT;
