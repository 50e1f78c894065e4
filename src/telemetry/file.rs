//! A log file that rotates by size and age, and that no disk can make the daemon stop for.
//!
//! A file of its own that became too big or too old is renamed to `.1`, the one before to `.2`,
//! and so on; the oldest goes. What somebody else renamed or removed is noticed within a
//! second, and at [`LogFile::reopen`]. A line that cannot be written is dropped and counted;
//! every following line tries again. What it says about itself it returns: it has no log.
//!
//! Rejected: the crates for it. They panic without their directory, drop lines silently while
//! the file cannot be opened, and rotate by size or by age, not by both.
//! Deliberately absent: making directories (a mount point that is not mounted must not be
//! filled), compression (a file of 64 MiB would hold up the lines behind it).

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use crate::clock::{BootTime, Clock, WallTime};

/// Others may be let in by the umask and the group, never to write.
const MODE: u32 = 0o640;
/// How often the path is compared with what is open.
const LOOK: Duration = Duration::from_secs(1);
/// How long after a rotation that failed the next one is tried.
const ROTATE_AGAIN: Duration = Duration::from_mins(1);

/// When a file is put aside, and how many of those are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// No line makes the file bigger than this, in bytes, unless it is alone in it.
    pub max_bytes: u64,
    /// A file older than this is put aside before the next line.
    pub max_age: Duration,
    /// How many old files are kept.
    pub keep: u32,
}

impl Default for Rotation {
    /// With the present one at most 512 MiB, and eight weeks of a quiet daemon.
    fn default() -> Self {
        Self { max_bytes: 64 << 20, max_age: Duration::from_secs(7 * 86_400), keep: 7 }
    }
}

/// What became of a line, as far as somebody must hear of it.
#[derive(Debug)]
pub enum Note {
    /// As always.
    Nothing,
    /// From here on lines are lost; said once.
    Failed(io::Error),
    /// Written again, after so many lines were lost.
    Recovered(u64),
    /// The line is written, but the file cannot be put aside and grows; said once.
    NotRotated(io::Error),
}

/// The file.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    rotation: Rotation,
    clock: Clock,
    open: Option<Open>,
    /// Lines lost since the last one that was written.
    lost: u64,
    health: Health,
    look_at: BootTime,
    rotate_at: BootTime,
}

#[derive(Debug)]
struct Open {
    file: File,
    id: (u64, u64),
    /// A device or a pipe is not put aside.
    is_file: bool,
    bytes: u64,
    born: WallTime,
    /// The last line is there in part.
    torn: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Well,
    /// It was said that lines are lost.
    Failing,
    /// It was said that the file cannot be put aside.
    Growing,
}

impl LogFile {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// It can be neither opened nor made.
    pub fn open(path: &Path, rotation: Rotation, clock: Clock) -> io::Result<Self> {
        let open = Open::at(path, &clock)?;
        let look_at = clock.boot() + LOOK;
        let rotate_at = clock.boot();
        Ok(Self {
            path: path.to_owned(),
            rotation,
            clock,
            open: Some(open),
            lost: 0,
            health: Health::Well,
            look_at,
            rotate_at,
        })
    }

    /// Writes a whole line with its end.
    pub fn write(&mut self, line: &[u8]) -> Note {
        let looked = self.look();
        let rotated = self.rotate_if_due(line.len());
        let written = match (&mut self.open, looked) {
            (Some(open), Ok(())) => open.append(line),
            // Still the file that somebody renamed: the line is kept, and is also the error's.
            (Some(open), Err(error)) if open.is_linked() => open.append(line).and(Err(error)),
            (_, Err(error)) => Err(error),
            (None, Ok(())) => Err(io::ErrorKind::NotFound.into()),
        };
        match (written, rotated) {
            (Err(error), _) => {
                self.lost += 1;
                let before = std::mem::replace(&mut self.health, Health::Failing);
                if before == Health::Failing { Note::Nothing } else { Note::Failed(error) }
            }
            (Ok(()), _) if self.health == Health::Failing => {
                self.health = Health::Well;
                Note::Recovered(std::mem::take(&mut self.lost))
            }
            (Ok(()), Err(error)) => {
                let before = std::mem::replace(&mut self.health, Health::Growing);
                if before == Health::Growing { Note::Nothing } else { Note::NotRotated(error) }
            }
            (Ok(()), Ok(())) => Note::Nothing,
        }
    }

    /// Opens what is at the path now, or makes it: somebody has put the file aside. What cannot
    /// be opened shows at the next line.
    pub fn reopen(&mut self) {
        self.look_at = self.clock.boot();
        if let Ok(open) = Open::at(&self.path, &self.clock) {
            self.open = Some(open);
        }
    }

    /// Compares, now and then, what is open with what is at the path.
    fn look(&mut self) -> io::Result<()> {
        let now = self.clock.boot();
        if self.open.is_some() && now < self.look_at {
            return Ok(());
        }
        self.look_at = now + LOOK;
        if let Some(open) = &mut self.open
            && let Ok(found) = std::fs::metadata(&self.path)
            && (found.dev(), found.ino()) == open.id
        {
            // Somebody may have emptied it.
            open.bytes = found.len();
            return Ok(());
        }
        match Open::at(&self.path, &self.clock) {
            Ok(open) => self.open = Some(open),
            Err(error) => {
                // The next line looks again.
                self.look_at = now;
                return Err(error);
            }
        }
        Ok(())
    }

    fn rotate_if_due(&mut self, coming: usize) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let coming = u64::try_from(coming).unwrap_or(u64::MAX);
        let wall = self.clock.wall();
        if open.bytes == 0 {
            open.born = wall;
        }
        let age = u64::try_from(wall.0.saturating_sub(open.born.0)).unwrap_or(0);
        let due = open.bytes.saturating_add(coming) > self.rotation.max_bytes
            || Duration::from_millis(age) >= self.rotation.max_age;
        let now = self.clock.boot();
        if !due || open.bytes == 0 || !open.is_file || now < self.rotate_at {
            return Ok(());
        }
        let rotated = self.rotate();
        self.rotate_at = if rotated.is_ok() { now } else { now + ROTATE_AGAIN };
        rotated
    }

    /// Puts the file aside. Until the new one is there, lines go to the old one.
    fn rotate(&mut self) -> io::Result<()> {
        let aside = |number: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..self.rotation.keep).rev() {
            if_there(std::fs::rename(aside(number), aside(number + 1)))?;
        }
        // More than the limit, from when it was higher.
        let mut beyond = self.rotation.keep + 1;
        while std::fs::remove_file(aside(beyond)).is_ok() {
            beyond += 1;
        }
        if self.rotation.keep == 0 {
            if_there(std::fs::remove_file(&self.path))?;
        } else {
            if_there(std::fs::rename(&self.path, aside(1)))?;
        }
        self.open = Some(Open::at(&self.path, &self.clock)?);
        self.health = if self.health == Health::Growing { Health::Well } else { self.health };
        Ok(())
    }
}

impl Open {
    fn at(path: &Path, clock: &Clock) -> io::Result<Self> {
        // A pipe without a reader is an error and not a wait.
        let nonblock = rustix::fs::OFlags::NONBLOCK.bits();
        let flags = i32::try_from(nonblock).unwrap_or(0);
        let file = OpenOptions::new().append(true).create(true).mode(MODE).custom_flags(flags).open(path)?;
        let found = file.metadata()?;
        // Where no birth is recorded, the last line is the best that is known.
        let born = found.created().or_else(|_| found.modified()).ok();
        let born = born.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let born = born.and_then(|since| i64::try_from(since.as_millis()).ok());
        Ok(Self {
            id: (found.dev(), found.ino()),
            is_file: found.is_file(),
            bytes: if found.is_file() { found.len() } else { 0 },
            born: born.map_or_else(|| clock.wall(), WallTime),
            torn: false,
            file,
        })
    }

    /// Whether a name still leads to it.
    fn is_linked(&self) -> bool {
        self.file.metadata().is_ok_and(|found| found.nlink() > 0)
    }

    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if self.torn {
            self.put(b"\n")?;
            self.torn = false;
        }
        let before = self.bytes;
        let put = self.put(line);
        self.torn = put.is_err() && self.bytes > before;
        put
    }

    fn put(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.bytes += u64::try_from(written).unwrap_or(u64::MAX);
                    bytes = &bytes[written..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// What is not there need not be moved.
fn if_there(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
