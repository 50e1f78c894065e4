//! As which user the daemon runs, and what that user may do with a file.

use std::ffi::CString;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

/// The package's user.
const PACKAGED: &str = "zhongkong";

/// The daemon's user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Service {
    /// Its name, or its number where it has none.
    pub(super) name: String,
    /// Its number.
    pub(super) uid: u32,
    /// The name of its own group, for a chown.
    pub(super) group: String,
    /// All its groups.
    pub(super) gids: Vec<u32>,
}

impl Service {
    /// `[daemon] user`, or without it the owner of the state directory; before the first start the package's user, or, where
    /// there is none, whoever runs this.
    pub(super) fn of(user: Option<&str>, state_dir: Option<&Path>) -> Self {
        let named = user.and_then(|name| User::from_name(name).ok().flatten());
        if let Some(user) = named {
            return Self::with_uid(user.uid.as_raw());
        }
        let owner = state_dir.and_then(|dir| dir.metadata().ok()).map(|meta| meta.uid());
        let packaged = || User::from_name(PACKAGED).ok().flatten().map(|user| user.uid.as_raw());
        Self::with_uid(owner.or_else(packaged).unwrap_or_else(|| Uid::effective().as_raw()))
    }

    fn with_uid(uid: u32) -> Self {
        let Some(user) = User::from_uid(Uid::from_raw(uid)).ok().flatten() else {
            return Self { name: uid.to_string(), uid, group: uid.to_string(), gids: vec![uid] };
        };
        let name = CString::new(user.name.as_str()).unwrap_or_default();
        let gids = getgrouplist(&name, user.gid).unwrap_or_else(|_| vec![user.gid]);
        let group = Group::from_gid(user.gid).ok().flatten();
        Self {
            uid,
            group: group.map_or_else(|| user.gid.to_string(), |group| group.name),
            gids: gids.into_iter().map(Gid::as_raw).collect(),
            name: user.name,
        }
    }

    /// Whether the user has this right (4 read, 2 write, 1 pass) on a file of this owner, group
    /// and mode.
    pub(super) fn may(&self, uid: u32, gid: u32, mode: u32, right: u32) -> bool {
        let shift = match () {
            () if self.uid == 0 => return true,
            () if self.uid == uid => 6,
            () if self.gids.contains(&gid) => 3,
            () => 0,
        };
        (mode >> shift) & right != 0
    }
}

/// Whether there is such a user.
pub(super) fn exists(name: &str) -> bool {
    User::from_name(name).is_ok_and(|user| user.is_some())
}

/// The name of a user, or the number where it has none.
pub(super) fn user_name(uid: u32) -> String {
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    user.map_or_else(|| format!("uid {uid}"), |user| user.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owner_group_and_others_have_their_own_bits_and_root_needs_none() {
        let user = Service { name: "z".into(), uid: 7, group: "z".into(), gids: vec![70, 71] };
        // An owner without the bit is not saved by the group's.
        for (uid, gid, mode, may) in [
            (7, 0, 0o400, true),
            (7, 70, 0o040, false),
            (0, 71, 0o640, true),
            (0, 72, 0o640, false),
            (0, 72, 0o604, true),
        ] {
            assert_eq!(user.may(uid, gid, mode, 0o4), may, "{uid} {gid} {mode:o}");
        }
        assert!(Service { uid: 0, ..user }.may(5, 5, 0, 0o4));
    }
}
