-- Every push of a menu, in SQL that SQLite and PostgreSQL both speak. Times are milliseconds since
-- the Unix epoch. `menus` is our canonical JSON of all menus.
CREATE TABLE menu_pushes (
    appid TEXT NOT NULL,
    number BIGINT NOT NULL,        -- 1, 2, 3 ... of this account
    kind TEXT NOT NULL,            -- push, rollback, delete; found: it was live, and not by us
    back_to BIGINT,                -- the number that a rollback goes back to
    state TEXT NOT NULL,           -- open, done, failed
    is_current BIGINT NOT NULL,    -- 1: it is what is live, as far as we know
    menus TEXT NOT NULL,
    who TEXT NOT NULL,
    why TEXT NOT NULL,
    began BIGINT NOT NULL,
    ended BIGINT,
    outcome TEXT NOT NULL,         -- a sentence about a push that failed
    owner TEXT NOT NULL,           -- the process at work on it
    PRIMARY KEY (appid, number)
);
CREATE UNIQUE INDEX menu_pushes_current ON menu_pushes (appid) WHERE is_current = 1;
CREATE UNIQUE INDEX menu_pushes_open ON menu_pushes (appid) WHERE state = 'open';
