//! An account as WeChat's console has it: what its pushes are signed and encrypted with.

use std::fmt;

/// Token, key and names of one account, and how its pushes are to be sent.
#[derive(Clone)]
pub struct Identity {
    /// The Token of the console.
    pub token: String,
    /// The EncodingAESKey of the console; needed in the encrypted modes.
    pub aes_key: Option<String>,
    /// The receive id of encrypted pushes: the appid, or a third-party platform's.
    pub appid: String,
    /// The account's `gh_…`: to whom messages are addressed.
    pub original_id: String,
    /// How pushes are guarded.
    pub mode: Mode,
    /// How they are written.
    pub format: Format,
}

/// Without Token and key, which are secrets.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { token: _, aes_key: _, appid, original_id, mode, format } = self;
        let mut out = f.debug_struct("Identity");
        out.field("appid", appid).field("original_id", original_id);
        out.field("mode", mode).field("format", format).finish_non_exhaustive()
    }
}

/// The three modes of the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// 明文: nothing guards the body.
    Plain,
    /// 兼容: plain and encrypted side by side.
    Compatible,
    /// 安全: encrypted only.
    Safe,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Compatible, Self::Safe];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Compatible => "compatible",
            Self::Safe => "safe",
        }
    }

    /// The mode of this name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == name)
    }
}

/// The two data formats of newer consoles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// What every account has had.
    Xml,
    /// Newer.
    Json,
}

impl Format {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Xml, Self::Json];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Xml => "xml",
            Self::Json => "json",
        }
    }

    /// The format of this name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == name)
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Xml => "text/xml",
            Self::Json => "application/json",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_neither_token_nor_key() {
        let identity = Identity {
            token: "the-t0ken".to_owned(),
            aes_key: Some("the-k3y".to_owned()),
            appid: "wx1".to_owned(),
            original_id: "gh_1".to_owned(),
            mode: Mode::Safe,
            format: Format::Xml,
        };
        let shown = format!("{identity:?}");
        assert!(shown.contains("wx1") && !shown.contains("t0ken") && !shown.contains("k3y"), "{shown}");
    }
}
