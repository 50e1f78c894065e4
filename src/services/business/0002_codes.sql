-- Every parametric QR code, in SQL that SQLite and PostgreSQL both speak. Times are milliseconds
-- since the Unix epoch.
CREATE TABLE qr_codes (
    appid TEXT NOT NULL,
    life TEXT NOT NULL,            -- permanent, temporary
    scene_kind TEXT NOT NULL,      -- int, str
    scene TEXT NOT NULL,
    state TEXT NOT NULL,           -- kept; asking: asked for, and the answer was not written down
    asks BIGINT NOT NULL,          -- how often WeChat may have made it: at most what it counts
    ticket TEXT NOT NULL,
    url TEXT NOT NULL,
    note TEXT NOT NULL,
    made BIGINT NOT NULL,          -- when it was asked for
    ends BIGINT,                   -- none for a permanent one
    owner TEXT NOT NULL,           -- the process that asks
    PRIMARY KEY (appid, life, scene_kind, scene)
);
