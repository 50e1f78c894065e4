//! Who sits at the browser: a few people with a nickname and a picture.
//!
//! A person's openid follows from the account and the name, the unionid from the name alone, so
//! that every run, every browser and every test meets the same users. A browser keeps its person
//! in a cookie of the simulator: a silent login is of whoever consented last.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::super::wire::Request;

/// The cookie of the person.
const COOKIE: &str = "simulated_wechat_person";

/// Somebody with a phone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// Short, of letters, digits, `-` and `_`; everything else follows from it.
    pub name: String,
    /// What userinfo says.
    pub nickname: String,
    /// Whether `headimgurl` says anything.
    #[serde(default)]
    pub picture: Picture,
}

/// Whether somebody has a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Picture {
    /// The simulator serves one.
    #[default]
    Drawn,
    /// `headimgurl` is empty.
    None,
}

/// How the next authorization goes, whatever the browser's cookie says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Visit {
    /// Whose it is; a name that nobody has becomes somebody.
    pub person: String,
    /// By the virtual user of a snapshot page in place of the person.
    #[serde(default)]
    pub mode: Shown,
}

/// How WeChat shows a page to its user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shown {
    /// As any page.
    #[default]
    Full,
    /// As a snapshot: whoever logs in there is nobody.
    Snapshot,
}

impl Person {
    /// Somebody with a picture.
    pub fn new(name: impl Into<String>, nickname: impl Into<String>) -> Self {
        Self { name: name.into(), nickname: nickname.into(), picture: Picture::Drawn }
    }

    /// The user that this person is to an account.
    pub fn openid(&self, appid: &str) -> String {
        format!("o{}", derived(&["openid", appid, &self.name], 27))
    }

    /// The virtual user whom an account sees behind a snapshot page.
    pub fn virtual_openid(&self, appid: &str) -> String {
        format!("o{}", derived(&["snapshot", appid, &self.name], 27))
    }

    /// The user that this person is to all accounts of a company.
    pub fn unionid(&self) -> String {
        format!("oU{}", derived(&["unionid", &self.name], 26))
    }

    /// Where the picture is, at a simulator with this host.
    pub(super) fn head(&self, host: &str) -> String {
        match self.picture {
            Picture::None => String::new(),
            Picture::Drawn => format!("http://{host}/mmopen/simulated/{}/132", self.name),
        }
    }
}

/// Those who are there when nobody said otherwise: a picture or none, and signs that break
/// programs that take a nickname for ASCII.
pub(super) fn everybody() -> Vec<Person> {
    let kim = Person { picture: Picture::None, ..Person::new("kim", "Kim <b>&amp;</b> 🙂") };
    vec![Person::new("ming", "小明"), Person::new("hong", "小红"), Person::new("anna", "Anna"), kim]
}

/// Whether this can be a person's name.
pub(super) fn is_name(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    !name.is_empty() && name.len() <= 32 && name.chars().all(good)
}

/// Whose browser it is.
pub(super) fn of_browser(request: &Request) -> Option<&str> {
    let cookies = request.header("cookie").split(';');
    let found = cookies.filter_map(|pair| pair.trim().split_once('=')).find(|(name, _)| *name == COOKIE);
    found.map(|(_, name)| name).filter(|name| is_name(name))
}

/// Has a browser remember its person.
pub(super) fn remember(name: &str) -> String {
    format!("{COOKIE}={name}; Path=/; HttpOnly; SameSite=Lax")
}

/// So many letters and digits that follow from the parts.
fn derived(parts: &[&str], len: usize) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digest = Sha256::digest(parts.join("\0").as_bytes());
    let letter = |byte: &u8| LETTERS.get(usize::from(byte % 64)).copied().map_or('0', char::from);
    digest.iter().take(len).map(letter).collect()
}

/// A person's picture: a letter on a colour.
pub(super) fn drawing(name: &str) -> String {
    let hue = Sha256::digest(name.as_bytes()).first().copied().map_or(0, u32::from) * 360 / 256;
    let letter: String = name.chars().take(1).filter(char::is_ascii_alphanumeric).collect();
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='132' height='132' viewBox='0 0 132 132'>\
         <rect width='132' height='132' fill='hsl({hue} 45% 42%)'/>\
         <text x='66' y='88' font-family='sans-serif' font-size='64' text-anchor='middle' fill='white'>{}</text></svg>",
        letter.to_uppercase()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn person_is_one_user_per_account_and_one_in_all() {
        let [ming, hong] = [Person::new("ming", "小明"), Person::new("hong", "小红")];
        assert_eq!(ming.openid("wx1"), ming.openid("wx1"));
        assert_eq!(ming.openid("wx1").len(), 28);
        let all = [
            ming.openid("wx1"),
            ming.openid("wx2"),
            hong.openid("wx1"),
            ming.virtual_openid("wx1"),
            ming.unionid(),
            hong.unionid(),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(!all.iter().skip(at + 1).any(|other| other == one), "{one} is two");
        }
    }
}
