//! Giving up root: `[daemon] user` and `group`.
//!
//! Once, while the process has one thread, after the sockets that need root are bound. The user's
//! groups replace root's, real, effective and saved ids change together, and that root cannot be
//! had back is tried, not assumed.

use std::ffi::CString;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use nix::unistd::{
    Gid, Group, Uid, User, getegid, geteuid, getresgid, getresuid, initgroups, setresgid, setresuid, setuid,
};
use rustix::fs::OFlags;

/// Why the process cannot become the configured user.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// No such user.
    #[error(
        "[daemon] user: there is no user `{0}` on this machine; make it (`useradd --system {0}`), or name another"
    )]
    NoUser(String),
    /// No such group.
    #[error(
        "[daemon] group: there is no group `{0}` on this machine; make it (`groupadd --system {0}`), or name another"
    )]
    NoGroup(String),
    /// The system's list of users cannot be asked.
    #[error("the system cannot say who `{name}` is")]
    Unknown {
        /// Who.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// Not root, and somebody else.
    #[error(
        "[daemon] user is `{wanted}`, and `{current}` cannot become another user: start as root, or as `{wanted}` (`sudo -u {wanted} zhongkong …`), or take user and group out of the configuration"
    )]
    NotRoot {
        /// Whom the configuration names.
        wanted: String,
        /// Who started.
        current: String,
    },
    /// Not root, and another group.
    #[error(
        "[daemon] group is `{wanted}`, and `{current}` cannot change its group: start as root, or take group out of the configuration"
    )]
    NotRootGroup {
        /// Which group the configuration names.
        wanted: String,
        /// Who started.
        current: String,
    },
    /// The kernel refused.
    #[error("cannot become user `{user}`: {step} failed")]
    Refused {
        /// Who.
        user: String,
        /// Which step.
        step: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The ids are not what they should be.
    #[error("user `{0}` could become root again; the daemon does not run like that")]
    RootAgain(String),
    /// A directory cannot be made.
    #[error("the directory {} cannot be made: make it by hand, for the daemon's user, or name another place in the configuration", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl PrivilegeError {
    /// Whether the configuration must be changed, or what it names be made.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::NoUser(_) | Self::NoGroup(_) | Self::NotRoot { .. } | Self::NotRootGroup { .. } => true,
            Self::Unknown { .. } | Self::Refused { .. } | Self::RootAgain(_) | Self::Directory { .. } => {
                false
            }
        }
    }
}

/// The user and group to become.
#[derive(Clone, Debug)]
pub struct Target {
    name: String,
    uid: Uid,
    gid: Gid,
}

/// What is to be done about the process's user.
#[derive(Clone, Debug)]
pub enum Plan {
    /// Nothing: it is the right one.
    Stay,
    /// Nothing: nobody said whom to become. The operator should.
    StayRoot,
    /// Root becomes this user.
    Become(Target),
}

impl Plan {
    /// Whom the process must become, asked of the system.
    ///
    /// # Errors
    /// There is no such user, or the process is not root and somebody else.
    pub fn new(user: Option<&str>, group: Option<&str>) -> Result<Self, PrivilegeError> {
        let root = geteuid().is_root();
        let Some(name) = user else {
            return Ok(if root { Self::StayRoot } else { Self::Stay });
        };
        let user = find_user(name)?;
        let gid = group.map(find_group).transpose()?.map_or(user.gid, |group| group.gid);
        if root {
            if user.uid.is_root() {
                return Ok(Self::StayRoot);
            }
            return Ok(Self::Become(Target { name: user.name, uid: user.uid, gid }));
        }
        if user.uid != geteuid() {
            return Err(PrivilegeError::NotRoot { wanted: name.to_owned(), current: current_user() });
        }
        match group {
            Some(group) if gid != getegid() => {
                Err(PrivilegeError::NotRootGroup { wanted: group.to_owned(), current: current_user() })
            }
            Some(_) | None => Ok(Self::Stay),
        }
    }

    /// Whom the process becomes, if it does.
    pub fn target(&self) -> Option<&Target> {
        match self {
            Self::Become(target) => Some(target),
            Self::Stay | Self::StayRoot => None,
        }
    }
}

impl Target {
    /// The user's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Becomes the user, for good.
    pub fn become_it(&self) -> Result<(), PrivilegeError> {
        let refused = |step| {
            move |errno: nix::Error| PrivilegeError::Refused {
                user: self.name.clone(),
                step,
                source: errno.into(),
            }
        };
        let name = CString::new(self.name.as_str()).map_err(|_| PrivilegeError::NoUser(self.name.clone()))?;
        let Self { name: _, uid, gid } = *self;
        initgroups(&name, gid).map_err(refused("initgroups"))?;
        setresgid(gid, gid, gid).map_err(refused("setresgid"))?;
        setresuid(uid, uid, uid).map_err(refused("setresuid"))?;
        let uids = getresuid().map_err(refused("getresuid"))?;
        let gids = getresgid().map_err(refused("getresgid"))?;
        let ours = [uids.real, uids.effective, uids.saved] == [uid; 3]
            && [gids.real, gids.effective, gids.saved] == [gid; 3];
        if !ours || setuid(Uid::from_raw(0)).is_ok() {
            return Err(PrivilegeError::RootAgain(self.name.clone()));
        }
        Ok(())
    }
}

/// The name of the user who runs this process; the number, if there is none.
pub fn current_user() -> String {
    let uid = geteuid();
    User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}

/// Makes a directory that is missing, for `owner` if one is given; those above it, too, which stay
/// the process's own. One that exists is left as it is.
pub fn make_directory(path: &Path, mode: u32, owner: Option<&Target>) -> Result<(), PrivilegeError> {
    let failed = |source| PrivilegeError::Directory { path: path.to_owned(), source };
    let missing: Vec<&Path> =
        path.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists()).collect();
    for dir in missing.iter().rev() {
        match DirBuilder::new().mode(mode).create(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            made => made.map_err(failed)?,
        }
        let last = *dir == path;
        let made = open_directory(dir).map_err(failed)?;
        // The umask must not decide who gets through to what lies below.
        let mode = if last { mode } else { 0o755 };
        made.set_permissions(Permissions::from_mode(mode)).map_err(failed)?;
        if let (true, Some(Target { uid, gid, .. })) = (last, owner) {
            fchown(&made, Some(uid.as_raw()), Some(gid.as_raw())).map_err(failed)?;
        }
    }
    Ok(())
}

fn open_directory(path: &Path) -> io::Result<File> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::DIRECTORY).bits()).unwrap_or(0);
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// By name, else by number.
fn find_user(name: &str) -> Result<User, PrivilegeError> {
    let unknown = |errno: nix::Error| PrivilegeError::Unknown { name: name.to_owned(), source: errno.into() };
    let found = match (User::from_name(name).map_err(unknown)?, name.parse()) {
        (None, Ok(uid)) => User::from_uid(Uid::from_raw(uid)).map_err(unknown)?,
        (found, _) => found,
    };
    found.ok_or_else(|| PrivilegeError::NoUser(name.to_owned()))
}

fn find_group(name: &str) -> Result<Group, PrivilegeError> {
    let unknown = |errno: nix::Error| PrivilegeError::Unknown { name: name.to_owned(), source: errno.into() };
    let found = match (Group::from_name(name).map_err(unknown)?, name.parse()) {
        (None, Ok(gid)) => Group::from_gid(Gid::from_raw(gid)).map_err(unknown)?,
        (found, _) => found,
    };
    found.ok_or_else(|| PrivilegeError::NoGroup(name.to_owned()))
}
