//! How the login service is.

use crate::launch::services::link::Link;
use crate::launch::services::served::Standing;
use crate::services::oauth::flow::DebugLogin;
use crate::services::oauth::site::Site;

/// What a reload leaves behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    accounts: usize,
    apps: usize,
}

impl Counts {
    pub(super) fn of(site: &Site) -> Self {
        Self { accounts: site.accounts().len(), apps: site.apps().len() }
    }
}

/// Whether the stores answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum StoreStanding {
    /// As far as anybody has looked.
    #[default]
    Well,
    /// The database does not, and why.
    Database(&'static str),
    /// It does; memcached does not.
    Sessions,
}

/// All that matters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) counts: Counts,
    pub(super) link: Link,
    pub(super) stores: StoreStanding,
    pub(super) debug: DebugLogin,
}

/// The service in words.
pub(super) fn standing(facts: Facts) -> Standing {
    let Facts { counts, link, stores, debug } = facts;
    let mut wrong = Vec::new();
    if debug == DebugLogin::On {
        wrong.push("DEBUG LOGIN IS ON: whoever reaches it logs in as whom they like".to_owned());
    }
    if counts.accounts == 0 {
        wrong.push("there is no [[oauth.account]], and nobody can log in".to_owned());
    }
    match link {
        Link::Unknown | Link::Up => {}
        Link::Down => wrong.push("the daemon exchanges no code: nobody can log in".to_owned()),
    }
    match stores {
        StoreStanding::Well => {}
        StoreStanding::Database(reason) => wrong.push(format!(
            "the database does not answer ({reason}): nobody can log in or be recognised; the log says more"
        )),
        StoreStanding::Sessions => wrong.push(
            "memcached does not answer: nobody can log in or be recognised; the log says more".to_owned(),
        ),
    }
    Standing { summary: summary(counts), wrong }
}

/// "2 accounts, 1 application".
pub(super) fn summary(counts: Counts) -> String {
    let count = |many: usize, what: &str| format!("{many} {what}{}", if many == 1 { "" } else { "s" });
    format!("{}, {}", count(counts.accounts, "account"), count(counts.apps, "application"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standing_names_what_is_served_and_what_is_wrong() {
        let well = Facts {
            counts: Counts { accounts: 1, apps: 2 },
            link: Link::Up,
            stores: StoreStanding::Well,
            debug: DebugLogin::Off,
        };
        let Standing { summary, wrong } = standing(well);
        assert_eq!((summary.as_str(), wrong.len()), ("1 account, 2 applications", 0));
        let wrong = standing(Facts {
            counts: Counts::default(),
            link: Link::Down,
            stores: StoreStanding::Database("full"),
            debug: DebugLogin::On,
        });
        let words = ["DEBUG LOGIN", "[[oauth.account]]", "exchanges no code", "(full)"];
        assert_eq!(wrong.wrong.len(), words.len());
        for (sentence, word) in wrong.wrong.iter().zip(words) {
            assert!(sentence.contains(word), "{sentence}");
        }
        let memcached = standing(Facts { stores: StoreStanding::Sessions, ..well }).wrong;
        assert!(memcached[0].contains("memcached"), "{memcached:?}");
    }
}
