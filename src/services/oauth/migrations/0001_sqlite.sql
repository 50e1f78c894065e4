-- What the OAuth service keeps. The same tables as 0001_postgres.sql, in SQLite's words. Times are
-- milliseconds since the Unix epoch. `sealed` is nonce and ciphertext under the key `seal_key`.

-- Pending logins, their results, sessions: by a hash, ending by themselves.
CREATE TABLE oauth_records (
    kind TEXT NOT NULL,
    id BLOB NOT NULL,          -- SHA-256 of what only the browser has
    sealed BLOB NOT NULL,
    seal_key TEXT,
    ends INTEGER NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX oauth_records_ends ON oauth_records (ends);

-- A person is who shares a unionid; without one, each openid is a person of its own.
CREATE TABLE oauth_people (
    id INTEGER NOT NULL PRIMARY KEY,
    unionid TEXT UNIQUE
) STRICT;

-- One row per account that a person uses.
CREATE TABLE oauth_identities (
    appid TEXT NOT NULL,
    openid TEXT NOT NULL,
    person INTEGER NOT NULL REFERENCES oauth_people (id),
    epoch INTEGER NOT NULL,    -- random; a session with another one has ended
    profile BLOB,              -- sealed JSON: name and picture
    seal_key TEXT,
    profile_at INTEGER,        -- when WeChat told the profile
    stale INTEGER NOT NULL,    -- 1: WeChat has said since that it changed
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    PRIMARY KEY (appid, openid)
) STRICT, WITHOUT ROWID;
CREATE INDEX oauth_identities_person ON oauth_identities (person);

-- What assertions are signed with: PKCS #8, sealed.
CREATE TABLE oauth_keys (
    kid TEXT NOT NULL PRIMARY KEY,
    sealed BLOB NOT NULL,
    seal_key TEXT,
    made INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
