//! How the service of menus and QR codes is.

use crate::launch::services::link::Link;
use crate::launch::services::served::Standing;

/// Whether the database answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum StoreStanding {
    /// As far as anybody has looked.
    #[default]
    Well,
    /// It does not, and why.
    Away(&'static str),
}

/// The service in words.
pub(super) fn standing(link: Link, store: StoreStanding) -> Standing {
    let mut wrong = Vec::new();
    match link {
        Link::Unknown | Link::Up => {}
        Link::Down => wrong.push("the daemon does not serve: nobody is let in".to_owned()),
    }
    match store {
        StoreStanding::Well => {}
        StoreStanding::Away(reason) => wrong.push(format!(
            "the database does not answer ({reason}): nothing is pushed and no code is made; the log says more"
        )),
    }
    Standing { summary: summary().to_owned(), wrong }
}

/// The accounts are those of the daemon, so there is nothing to count.
pub(super) const fn summary() -> &'static str {
    "menus and QR codes"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standing_names_what_is_served_and_what_is_wrong() {
        for link in [Link::Unknown, Link::Up] {
            let well = standing(link, StoreStanding::Well);
            assert_eq!((well.summary.as_str(), well.wrong.len()), ("menus and QR codes", 0));
        }
        let wrong = standing(Link::Down, StoreStanding::Away("full")).wrong;
        assert!(wrong.len() == 2 && wrong[0].contains("nobody is let in") && wrong[1].contains("(full)"));
    }
}
