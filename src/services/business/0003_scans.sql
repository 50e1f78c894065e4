-- Scans of QR codes, in SQL that SQLite and PostgreSQL both speak. Times are milliseconds since the
-- Unix epoch. Who scanned is not kept: `message` is a hash.
CREATE TABLE qr_scan_log (         -- each scan for a week, so that one that is told twice counts once
    appid TEXT NOT NULL,
    message TEXT NOT NULL,
    life TEXT NOT NULL,            -- of the code; empty where nobody knows which one it was
    scene_kind TEXT NOT NULL,
    scene TEXT NOT NULL,
    follow BIGINT NOT NULL,        -- 1: it made somebody follow the account
    at BIGINT NOT NULL,            -- when it was scanned
    PRIMARY KEY (appid, message)
);
CREATE INDEX qr_scan_log_scene ON qr_scan_log (appid, life, scene_kind, scene);
CREATE INDEX qr_scan_log_at ON qr_scan_log (at);
CREATE TABLE qr_scans (            -- older ones, added up
    appid TEXT NOT NULL,
    life TEXT NOT NULL,
    scene_kind TEXT NOT NULL,
    scene TEXT NOT NULL,
    scans BIGINT NOT NULL,
    follows BIGINT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    PRIMARY KEY (appid, life, scene_kind, scene)
);
CREATE INDEX qr_codes_scene ON qr_codes (appid, scene);
