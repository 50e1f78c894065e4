//! How the JS-SDK service is.

use crate::launch::services::link::Link;
use crate::launch::services::served::Standing;

use super::summary;

/// The files of the pages on the disk beside the pages in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum PagesFiles {
    /// They are in force, or there are none.
    #[default]
    InForce,
    /// They were changed and are bad: the pages before are in force.
    Refused,
}

/// What there is to see.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) accounts: usize,
    /// The paths of those whose copy lacks a ticket.
    pub(super) without_ticket: Vec<String>,
    pub(super) pages: usize,
    pub(super) files: PagesFiles,
    pub(super) link: Link,
}

/// The service in words.
pub(super) fn standing(seen: &Seen) -> Standing {
    let Seen { accounts, without_ticket, pages, files, link } = seen;
    let mut wrong = Vec::new();
    if *accounts == 0 {
        wrong.push("there is no [[jssdk.account]], and no page is signed".to_owned());
    }
    let holds = without_ticket.len() < *accounts;
    match link {
        Link::Unknown | Link::Up => {}
        Link::Down if holds => wrong.push(
            "the daemon gives no ticket: pages are signed with those of the local copy, until they end"
                .to_owned(),
        ),
        Link::Down => wrong.push("the daemon gives no ticket: no page can be signed".to_owned()),
    }
    // Before anybody has looked, the copy is only just being filled.
    if holds && !without_ticket.is_empty() && *link != Link::Unknown {
        let paths = without_ticket.join(", ");
        wrong.push(format!(
            "the local copy lacks a ticket of {paths}: is it among tickets of the [[account]], and may this service's [[client]] read it?"
        ));
    }
    match files {
        PagesFiles::InForce => {}
        PagesFiles::Refused => wrong.push(
            "the pages on the disk are bad, and the pages before them are in force: the log names each mistake"
                .to_owned(),
        ),
    }
    Standing { summary: summary(*accounts, *pages), wrong }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standing_names_what_is_served_and_what_is_wrong() {
        let well = Seen { accounts: 2, pages: 1, link: Link::Up, ..Seen::default() };
        let Standing { summary, wrong } = standing(&well);
        assert_eq!((summary.as_str(), wrong), ("2 accounts, 1 page", Vec::new()));
        let one = |seen: Seen, words: &str| {
            let wrong = standing(&seen).wrong;
            assert!(wrong.len() == 1 && wrong[0].contains(words), "{wrong:?}");
        };
        one(Seen { link: Link::Down, ..well.clone() }, "signed with those of the local copy");
        let both = vec!["shop".to_owned(), "club".to_owned()];
        one(Seen { link: Link::Down, without_ticket: both.clone(), ..well.clone() }, "no page can be signed");
        one(Seen { without_ticket: both[1..].to_vec(), ..well.clone() }, "lacks a ticket of club:");
        one(Seen { files: PagesFiles::Refused, ..well.clone() }, "the pages before them are in force");
        one(Seen::default(), "no [[jssdk.account]]");
        // At the start nothing is wrong before anybody has looked; a client that only signs is well.
        let starting = Seen { link: Link::Unknown, without_ticket: both.clone(), ..well.clone() };
        assert_eq!(standing(&starting).wrong, Vec::<String>::new());
        assert_eq!(standing(&Seen { without_ticket: both, ..well }).wrong, Vec::<String>::new());
    }
}
