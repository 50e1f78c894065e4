//! Secrets from where the file says: a file, a systemd credential, an environment variable.
//!
//! A secret's file must be readable by its owner only, which is asked of the opened file, so
//! that it cannot be changed for another in between. No message repeats any of its content.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use crate::process::privileges::current_user;
use crate::secret::Secret;

use super::context::Context;
use super::place::Place;

/// Largest file that is taken for a secret, a key or a certificate: what is larger is a mistake.
const LARGEST_FILE: u64 = 256 * 1024;

/// Length from which a name is taken for a secret in the wrong place: an AppSecret has 32.
const SECRET_LENGTH: usize = 24;

/// Where one secret comes from, as written.
pub(super) struct Sources<'r> {
    /// What the keys begin with: `secret` for `secret_file`, `secret_credential`, `secret_env`.
    pub(super) prefix: &'static str,
    /// The `_file` key.
    pub(super) file: Option<&'r str>,
    /// The `_credential` key.
    pub(super) credential: Option<&'r str>,
    /// The `_env` key.
    pub(super) env: Option<&'r str>,
}

/// Whether secrets are wanted, or only that it is said where they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// They are read.
    Secrets,
    /// They are another process's, which alone may read them: its reading finds what is wrong
    /// with them. Here each is an empty text, and what is made of them is thrown away.
    Form,
}

/// Who else may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Privacy {
    /// Nobody but the owner.
    Owner,
    /// The group too: systemd gives a credential to its user by an access list, which shows as
    /// the group's bits; its directory is closed to everybody else.
    OwnerAndGroup,
    /// Everybody: it is a certificate.
    Public,
}

impl Sources<'_> {
    /// Whether none of the three keys is written.
    pub(super) fn is_empty(&self) -> bool {
        self.file.is_none() && self.credential.is_none() && self.env.is_none()
    }

    /// [`Sources::load`], or as much of it as can be asked without a secret.
    pub(super) fn load_to(&self, depth: Depth, table: &Place, cx: &mut Context<'_>) -> Option<Secret> {
        let given = [self.file, self.credential, self.env].into_iter().flatten().count();
        match depth {
            Depth::Form if given == 1 => Some(Secret::from("")),
            // Several or none: it reads nothing, and says so.
            Depth::Form | Depth::Secrets => self.load(table, cx),
        }
    }

    /// The secret, without the white space around it; what is wrong is reported.
    pub(super) fn load(&self, table: &Place, cx: &mut Context<'_>) -> Option<Secret> {
        let key = |kind: &str| table.key(format!("{}_{kind}", self.prefix));
        let (place, text) = match (self.file, self.credential, self.env) {
            (Some(path), None, None) => {
                let place = key("file");
                (place.clone(), read(&place, &cx.path(path), Privacy::Owner, cx)?)
            }
            (None, Some(name), None) => {
                let place = key("credential");
                (place.clone(), credential(&place, name, cx)?)
            }
            (None, None, Some(name)) => {
                let place = key("env");
                let Some(text) = cx.env.get(name) else {
                    cx.report.error(&place, format!("the environment variable {} is not set", shown(name)));
                    return None;
                };
                (place, Zeroizing::new(text.to_owned()))
            }
            _ => {
                let prefix = self.prefix;
                let keys = ["file", "credential", "env"].map(|kind| format!("{prefix}_{kind}"));
                cx.report.missing(
                    table,
                    &keys.each_ref().map(String::as_str),
                    format!("exactly one of {prefix}_file, {prefix}_credential and {prefix}_env is needed"),
                );
                return None;
            }
        };
        let trimmed = text.trim();
        if trimmed.is_empty() {
            cx.report.error(&place, "the secret there is empty");
            return None;
        }
        Some(Secret::from(trimmed))
    }
}

/// The text of a file; why it cannot be had is reported.
pub(super) fn read(
    place: &Place,
    path: &Path,
    privacy: Privacy,
    cx: &mut Context<'_>,
) -> Option<Zeroizing<String>> {
    let shown = path.display();
    // What does not exist is perhaps no path at all.
    let doubtful = path.to_string_lossy();
    let doubtful = self::shown(&doubtful);
    match open(path).and_then(|file| Ok((file.metadata()?, file))) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            cx.report.error(place, format!("there is no file {doubtful}"));
            None
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let user = current_user();
            cx.report.error(
                place,
                format!(
                    "the user `{user}` may not open {doubtful}: run `chown {user} {doubtful}`, and let `{user}` through its directories"
                ),
            );
            None
        }
        Err(error) => {
            cx.report.error(place, format!("cannot open {doubtful}: {}", error.kind()));
            None
        }
        Ok((meta, _)) if !meta.is_file() => {
            cx.report.error(place, format!("{shown} is not a regular file"));
            None
        }
        Ok((meta, _)) if meta.mode() & privacy.forbidden() != 0 => {
            let mode = meta.mode() & 0o777;
            cx.report.error(
                place,
                format!(
                    "{shown} can be used by others than its owner (mode {mode:03o}): run `chmod 600 {shown}`"
                ),
            );
            None
        }
        Ok((meta, _)) if meta.len() > LARGEST_FILE => {
            cx.report.error(place, format!("{shown} is larger than {} KiB", LARGEST_FILE / 1024));
            None
        }
        Ok((meta, file)) => {
            // Room for all of it at once: a text that grows leaves unwiped copies behind.
            let room = usize::try_from(meta.len()).unwrap_or(0) + 1;
            let mut text = Zeroizing::new(String::with_capacity(room));
            if let Err(error) = file.take(LARGEST_FILE).read_to_string(&mut text) {
                cx.report.error(place, format!("cannot read {shown} as text: {}", error.kind()));
                return None;
            }
            Some(text)
        }
    }
}

/// Opens for reading without waiting: a named pipe must not hold up the start.
fn open(path: &Path) -> io::Result<File> {
    let no_wait = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    File::options().read(true).custom_flags(no_wait).open(path)
}

/// A name or path for a message, without what may be the secret itself, written where the name
/// of its place belongs: a long run of letters and digits. A variable's name is left alone.
pub(super) fn shown(name: &str) -> Cow<'_, str> {
    let like_secret = |letter: char| letter.is_ascii_alphanumeric() || "-_+=".contains(letter);
    let upper = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    let mut shown = Cow::Borrowed(name);
    for run in name.split(|letter: char| !like_secret(letter)) {
        if run.len() >= SECRET_LENGTH && !run.bytes().all(upper) {
            shown = Cow::Owned(shown.replace(run, "(not shown: like a secret)"));
        }
    }
    shown
}

fn credential(place: &Place, name: &str, cx: &mut Context<'_>) -> Option<Zeroizing<String>> {
    if name.is_empty() || name.contains('/') || name == "." || name == ".." {
        cx.report.error(place, "a credential has a plain name, as in the unit's LoadCredential=");
        return None;
    }
    let Some(directory) = cx.env.get("CREDENTIALS_DIRECTORY") else {
        cx.report.error(
            place,
            format!("CREDENTIALS_DIRECTORY is not set: start under systemd with LoadCredential={}:PATH, or use a file", shown(name)),
        );
        return None;
    };
    let path = Path::new(directory).join(name);
    read(place, &path, Privacy::OwnerAndGroup, cx)
}

impl Privacy {
    fn forbidden(self) -> u32 {
        match self {
            Self::Owner => 0o077,
            Self::OwnerAndGroup => 0o037,
            Self::Public => 0,
        }
    }
}
