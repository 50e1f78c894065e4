//! What a page shows: filter, search, order, page number, from the address and back into it.
//!
//! Everything that is not understood is as if it were not there: an address that somebody
//! shortened or mistyped shows more rather than an error.

use serde::Deserialize;
use url::form_urlencoded::Serializer;

use crate::model::Kind;

use super::words::Lang;

/// Keys on one page: a screen or five; some 200 KB of HTML at most.
pub(super) const PAGE: usize = 50;
/// Longest text that is searched for. An appid has at most 128 characters.
const LONGEST_SEARCH: usize = 128;

/// Which keys, by how they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Show {
    /// All.
    #[default]
    All,
    /// Those that are not as they should be.
    Problems,
    /// With a value and nothing to say about it.
    Fresh,
    /// With a value and a reservation.
    Degraded,
    /// Without a good value.
    NoValue,
    /// In a trouble that only a person can end.
    Operator,
    /// Paused by a person.
    Paused,
}

impl Show {
    pub(super) const ALL: [Self; 7] =
        [Self::All, Self::Problems, Self::Fresh, Self::Degraded, Self::NoValue, Self::Operator, Self::Paused];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Problems => "problems",
            Self::Fresh => "fresh",
            Self::Degraded => "degraded",
            Self::NoValue => "no_value",
            Self::Operator => "operator",
            Self::Paused => "paused",
        }
    }
}

/// In which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    /// Problems first, then what ends soonest.
    #[default]
    Urgency,
    /// By appid and kind.
    Name,
}

impl Sort {
    pub(super) const ALL: [Self; 2] = [Self::Urgency, Self::Name];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Urgency => "urgency",
            Self::Name => "name",
        }
    }
}

/// The parameters as they come.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Raw {
    show: Option<String>,
    kind: Option<String>,
    q: Option<String>,
    sort: Option<String>,
    page: Option<String>,
    lang: Option<String>,
}

/// What a page shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) show: Show,
    pub(super) kind: Option<Kind>,
    /// Lower case; empty for no search.
    pub(super) search: String,
    pub(super) sort: Sort,
    /// From 1.
    pub(super) page: usize,
    /// The language, if the address names one.
    pub(super) lang: Option<Lang>,
}

impl Raw {
    pub(super) fn read(self) -> Query {
        let Self { show, kind, q, sort, page, lang } = self;
        let search = q.unwrap_or_default();
        let search: String = search.trim().chars().take(LONGEST_SEARCH).collect();
        Query {
            show: Show::ALL.into_iter().find(|one| show.as_deref() == Some(one.as_str())).unwrap_or_default(),
            kind: kind.and_then(|kind| kind.parse().ok()),
            search: search.to_lowercase(),
            sort: Sort::ALL.into_iter().find(|one| sort.as_deref() == Some(one.as_str())).unwrap_or_default(),
            page: page.and_then(|page| page.parse().ok()).unwrap_or(1).max(1),
            lang: lang.and_then(|lang| Lang::parse(&lang)),
        }
    }
}

impl Query {
    /// The part of an address behind the question mark; what is usual is left out.
    pub(super) fn text(&self) -> String {
        let Self { show, kind, search, sort, page, lang } = self;
        let mut text = Serializer::new(String::new());
        if *show != Show::default() {
            text.append_pair("show", show.as_str());
        }
        if let Some(kind) = kind {
            text.append_pair("kind", kind.as_str());
        }
        if !search.is_empty() {
            text.append_pair("q", search);
        }
        if *sort != Sort::default() {
            text.append_pair("sort", sort.as_str());
        }
        if *page > 1 {
            text.append_pair("page", &page.to_string());
        }
        if let Some(lang) = lang {
            text.append_pair("lang", lang.as_str());
        }
        text.finish()
    }

    /// The address of the page that shows this.
    pub(super) fn address(&self) -> String {
        let text = self.text();
        if text.is_empty() { "/".to_owned() } else { format!("/?{text}") }
    }

    /// The same from the first page on, with another filter.
    pub(super) fn showing(&self, show: Show) -> Self {
        Self { show, page: 1, ..self.clone() }
    }

    /// The same in another language.
    pub(super) fn speaking(&self, lang: Lang) -> Self {
        Self { lang: Some(lang), ..self.clone() }
    }

    /// Another page of the same.
    pub(super) fn turned(&self, page: usize) -> Self {
        Self { page, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Query {
        let mut raw = Raw::default();
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            let value = Some(value.into_owned());
            match name.as_ref() {
                "show" => raw.show = value,
                "kind" => raw.kind = value,
                "q" => raw.q = value,
                "sort" => raw.sort = value,
                "page" => raw.page = value,
                _ => raw.lang = value,
            }
        }
        raw.read()
    }

    #[test]
    fn address_carries_the_whole_state_of_the_page() {
        let text = "show=no_value&kind=jsapi_ticket&q=shop+%26+caf%C3%A9&sort=name&page=3&lang=zh";
        assert_eq!(read(text).text(), text);
        assert_eq!(read("").address(), "/");
    }

    #[test]
    fn what_is_not_understood_is_left_out() {
        assert_eq!(read("show=x&kind=y&sort=z&page=-1&lang=fr"), read(""));
        assert_eq!(read("page=0").page, 1);
    }
}
