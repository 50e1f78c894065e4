-- Who did what, from where, when. A row is one deed, or all that was the same within an hour.
-- No NULL among the columns that make rows the same: an absent text is empty, an absent number -1.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    share TEXT NOT NULL,        -- reads, calls, deeds: each is bounded by itself
    seq INTEGER NOT NULL,       -- counts the rows of a share without gaps
    hour INTEGER NOT NULL,      -- hours since 1970 of what is added up; -1: one deed
    client TEXT NOT NULL,
    origin TEXT NOT NULL,
    action TEXT NOT NULL,
    appid TEXT NOT NULL,
    kind TEXT NOT NULL,
    outcome TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    generation INTEGER NOT NULL,
    count INTEGER NOT NULL,
    first_wall INTEGER NOT NULL,
    last_wall INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX audit_of_share ON audit (share, seq);
CREATE INDEX audit_of_hour ON audit (hour, client, origin, appid, kind) WHERE hour >= 0;
