//! How the message service is.

use crate::launch::services::link::Link;
use crate::launch::services::served::Standing;

use super::build::summary;

/// What a reload leaves behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) accounts: usize,
    pub(super) programs: usize,
}

/// The rules' file on the disk beside the rules in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum RulesFile {
    /// Its rules are in force, or there is none.
    #[default]
    InForce,
    /// It was changed and is bad: the rules before are in force.
    Refused,
}

/// The service in words.
pub(super) fn standing(counts: Counts, rules: Option<usize>, file: RulesFile, link: Link) -> Standing {
    let Counts { accounts, programs } = counts;
    let mut wrong = Vec::new();
    if accounts == 0 {
        wrong.push("there is no [[messages.account]], and every message is refused");
    }
    match link {
        Link::Unknown | Link::Up => {}
        Link::Down => wrong.push("the daemon gives no token: late answers cannot be sent"),
    }
    match file {
        RulesFile::InForce => {}
        RulesFile::Refused => wrong
            .push("the rules file is bad, and the rules before it are in force: the log names each mistake"),
    }
    Standing {
        summary: summary(accounts, rules, programs),
        wrong: wrong.into_iter().map(str::to_owned).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standing_names_what_is_served_and_what_is_wrong() {
        let counts = Counts { accounts: 1, programs: 0 };
        let well = standing(counts, Some(5), RulesFile::InForce, Link::Up);
        assert_eq!((well.summary.as_str(), well.wrong), ("1 account, 5 rules, 0 programs", Vec::new()));
        let wrong = standing(counts, Some(5), RulesFile::Refused, Link::Down).wrong;
        assert_eq!(
            wrong,
            [
                "the daemon gives no token: late answers cannot be sent",
                "the rules file is bad, and the rules before it are in force: the log names each mistake",
            ]
        );
        let none = standing(Counts::default(), None, RulesFile::InForce, Link::Unknown).wrong;
        assert_eq!(none, ["there is no [[messages.account]], and every message is refused"]);
    }
}
