-- What the OAuth service keeps. The same tables as 0001_sqlite.sql, in PostgreSQL's words. Times are
-- milliseconds since the Unix epoch. `sealed` is nonce and ciphertext under the key `seal_key`.

-- Pending logins, their results, sessions: by a hash, ending by themselves.
CREATE TABLE oauth_records (
    kind TEXT NOT NULL,
    id BYTEA NOT NULL,          -- SHA-256 of what only the browser has
    sealed BYTEA NOT NULL,
    seal_key TEXT,
    ends BIGINT NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE INDEX oauth_records_ends ON oauth_records (ends);

-- A person is who shares a unionid; without one, each openid is a person of its own.
CREATE TABLE oauth_people (
    id BIGINT NOT NULL PRIMARY KEY,
    unionid TEXT UNIQUE
);

-- One row per account that a person uses.
CREATE TABLE oauth_identities (
    appid TEXT NOT NULL,
    openid TEXT NOT NULL,
    person BIGINT NOT NULL REFERENCES oauth_people (id),
    epoch BIGINT NOT NULL,    -- random; a session with another one has ended
    profile BYTEA,              -- sealed JSON: name and picture
    seal_key TEXT,
    profile_at BIGINT,        -- when WeChat told the profile
    stale BIGINT NOT NULL,    -- 1: WeChat has said since that it changed
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    PRIMARY KEY (appid, openid)
);
CREATE INDEX oauth_identities_person ON oauth_identities (person);

-- What assertions are signed with: PKCS #8, sealed.
CREATE TABLE oauth_keys (
    kid TEXT NOT NULL PRIMARY KEY,
    sealed BYTEA NOT NULL,
    seal_key TEXT,
    made BIGINT NOT NULL
);
