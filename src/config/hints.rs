//! What to say about a key that does not exist: its right name, or the nearest one.

use super::place::{Place, Step};

/// How alike two words must be (0 … 1, Jaro-Winkler) for one to be proposed for the other.
/// `layout` and `layouts` have 0.97, `listen` and `bind` 0.0.
const ALIKE: f64 = 0.8;

/// A key that people write, by its table, and what to do instead.
struct Hint {
    table: &'static str,
    key: &'static str,
    instead: &'static str,
}

const NO_SECRET_HERE: &str = "a secret is never written into this file: put it into a file of its own (chmod 600) and name that with secret_file";
const NO_CALLBACK_SECRET_HERE: &str = "a secret is never written into this file: put it into a file of its own (chmod 600) and name that with the key that ends in _file";
const NO_TOKEN_HERE: &str =
    "a token is never written into this file: `zhongkong new-client NAME` prints one and its token_sha256";

/// Names of other programs and of earlier drafts that are too far from ours to be found as near.
const HINTS: &[Hint] = &[
    Hint { table: "", key: "accounts", instead: "each account is a section [[account]]" },
    Hint { table: "", key: "clients", instead: "each client is a section [[client]]" },
    Hint { table: "", key: "log", instead: "the section is [daemon.log]" },
    Hint { table: "", key: "tls", instead: "the section is [grpc.tls]" },
    Hint { table: "daemon", key: "data_dir", instead: "it is called state_dir" },
    Hint { table: "daemon", key: "log_level", instead: "it is called filter, in [daemon.log]" },
    Hint { table: "daemon.log", key: "level", instead: "it is called filter" },
    Hint { table: "wechat", key: "base_url", instead: "it is called api_base" },
    Hint { table: "wechat", key: "host", instead: "it is called api_base" },
    Hint { table: "grpc", key: "addr", instead: "it is called listen" },
    Hint { table: "grpc", key: "bind", instead: "it is called listen" },
    Hint { table: "admin", key: "addr", instead: "it is called listen" },
    Hint { table: "admin", key: "bind", instead: "it is called listen" },
    Hint { table: "admin", key: "tls", instead: "the admin listener has no TLS: leave it on loopback" },
    Hint { table: "account", key: "app_id", instead: "it is called appid" },
    Hint { table: "account", key: "secret", instead: NO_SECRET_HERE },
    Hint { table: "account", key: "appsecret", instead: NO_SECRET_HERE },
    Hint { table: "account", key: "app_secret", instead: NO_SECRET_HERE },
    Hint { table: "account", key: "mode", instead: "it is called token_mode" },
    Hint {
        table: "account",
        key: "kinds",
        instead: "the access token is always kept; the others are listed in tickets",
    },
    Hint { table: "serve", key: "addr", instead: "it is called listen" },
    Hint { table: "serve", key: "bind", instead: "it is called listen" },
    Hint { table: "serve", key: "tls", instead: "TLS is a reverse proxy's business: leave this on loopback" },
    Hint { table: "messages", key: "accounts", instead: "each account is a section [[messages.account]]" },
    Hint { table: "messages", key: "addr", instead: "it is called daemon" },
    Hint { table: "messages", key: "token", instead: NO_CALLBACK_SECRET_HERE },
    Hint { table: "messages.account", key: "token", instead: NO_CALLBACK_SECRET_HERE },
    Hint { table: "messages.account", key: "aes_key", instead: NO_CALLBACK_SECRET_HERE },
    Hint { table: "messages.account", key: "encoding_aes_key", instead: NO_CALLBACK_SECRET_HERE },
    Hint { table: "messages.forward", key: "secret", instead: NO_CALLBACK_SECRET_HERE },
    Hint { table: "oauth", key: "accounts", instead: "each account is a section [[oauth.account]]" },
    Hint { table: "oauth", key: "apps", instead: "each application is a section [[oauth.app]]" },
    Hint {
        table: "oauth",
        key: "redirect_uri",
        instead: "it is made of base_url: base_url/oauth/PATH/callback",
    },
    Hint { table: "oauth", key: "database_url", instead: NO_CALLBACK_SECRET_HERE },
    Hint { table: "oauth", key: "seal_keys", instead: NO_CALLBACK_SECRET_HERE },
    Hint { table: "oauth", key: "events_secret", instead: NO_CALLBACK_SECRET_HERE },
    Hint { table: "oauth", key: "token", instead: NO_CALLBACK_SECRET_HERE },
    Hint { table: "oauth.app", key: "origin", instead: "it is called origins" },
    Hint { table: "oauth.app", key: "accounts", instead: "it is called account" },
    Hint { table: "jssdk", key: "accounts", instead: "each account is a section [[jssdk.account]]" },
    Hint { table: "jssdk", key: "addr", instead: "it is called daemon" },
    Hint { table: "jssdk", key: "token", instead: NO_CALLBACK_SECRET_HERE },
    Hint { table: "jssdk", key: "templates", instead: "it is called pages" },
    Hint { table: "jssdk.account", key: "domains", instead: "they are called hosts" },
    Hint { table: "jssdk.account", key: "cors", instead: "they are called origins" },
    Hint { table: "jssdk.account", key: "js_api_list", instead: "it is called apis" },
    Hint { table: "jssdk.account", key: "open_tag_list", instead: "it is called open_tags" },
    Hint { table: "business", key: "addr", instead: "it is called daemon" },
    Hint { table: "business", key: "events_secret", instead: NO_CALLBACK_SECRET_HERE },
    Hint { table: "business", key: "database_url", instead: NO_CALLBACK_SECRET_HERE },
    Hint {
        table: "business",
        key: "token_file",
        instead: "the service has no token: it asks the daemon with those of its callers",
    },
    Hint { table: "client", key: "token", instead: NO_TOKEN_HERE },
    Hint { table: "client", key: "token_hash", instead: "it is called token_sha256" },
    Hint { table: "client", key: "appids", instead: "it is called accounts" },
    Hint { table: "client", key: "grants", instead: "grants are written as accounts, kinds and actions" },
    Hint { table: "client", key: "expires", instead: "it is called not_after" },
];

/// The message for a key that its table does not know.
pub(super) fn unknown_key(place: &Place, known: &[&'static str]) -> String {
    let Some(Step::Key(key)) = place.steps().last() else { return "there is no such key".to_owned() };
    let table = table_of(place);
    if let Some(hint) = HINTS.iter().find(|hint| hint.table == table && hint.key == key.as_ref()) {
        return format!("there is no such key: {}", hint.instead);
    }
    match nearest(key, known) {
        Some(near) => format!("there is no such key: did you mean {near}?"),
        None => format!("there is no such key: here stand {}", known.join(", ")),
    }
}

/// The known word that is most like this one, if any is.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let word = word.to_ascii_lowercase();
    let likeness = |candidate: &str| strsim::jaro_winkler(&word, candidate);
    known
        .iter()
        .copied()
        .map(|candidate| (likeness(candidate), candidate))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// The table that a place is in, without indexes: `account`, `daemon.log`.
fn table_of(place: &Place) -> String {
    let parent = place.parent();
    let keys = parent.steps().iter().filter_map(|step| match step {
        Step::Key(key) => Some(key.as_ref()),
        Step::Index(_) => None,
    });
    keys.collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_key_gets_the_nearest_one_and_a_strange_one_gets_the_list() {
        let known = ["listen", "insecure", "tls"];
        let grpc = Place::root().key("grpc");
        assert_eq!(unknown_key(&grpc.key("listne"), &known), "there is no such key: did you mean listen?");
        assert_eq!(
            unknown_key(&grpc.key("colour"), &known),
            "there is no such key: here stand listen, insecure, tls"
        );
        assert_eq!(unknown_key(&grpc.key("bind"), &known), "there is no such key: it is called listen");
    }

    #[test]
    fn no_hint_is_about_a_key_that_exists() {
        // A hint for a key that has come into being would never be shown, or worse, mislead.
        let known = crate::config::keys::known_keys();
        assert!(!HINTS.is_empty());
        for hint in HINTS {
            let path = if hint.table.is_empty() {
                hint.key.to_owned()
            } else {
                format!("{}.{}", hint.table, hint.key)
            };
            assert!(!known.contains(&path), "{path} exists");
            assert!(
                hint.table.is_empty() || known.iter().any(|key| key == hint.table),
                "no table {}",
                hint.table
            );
        }
    }
}
