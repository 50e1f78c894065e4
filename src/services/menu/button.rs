//! What a menu is: buttons, what they do, and whom a conditional menu is for.

use std::collections::BTreeMap;

/// All menus of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Menus {
    /// The menu of everybody whom no other one is for. Without a button there is none.
    pub default: Menu,
    /// In the order of publication: WeChat shows the last one whose rule fits the user.
    pub conditional: Vec<Conditional>,
}

/// One menu: the buttons at the foot of the conversation, from left to right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Menu {
    /// The buttons.
    pub buttons: Vec<Button>,
}

/// A menu for some users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditional {
    /// Which users.
    pub rule: MatchRule,
    /// Their menu.
    pub menu: Menu,
}

/// A button at the foot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Button {
    /// Its words.
    pub name: String,
    /// What a tap does.
    pub does: Does,
}

/// What a tap on a button at the foot does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Does {
    /// It opens these, which are shown from top to bottom.
    Opens(Vec<Item>),
    /// It does this.
    Acts(Action),
}

/// A button of an opened list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its words.
    pub name: String,
    /// What a tap does.
    pub action: Action,
}

/// What a tap does in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// An event with this key is pushed to the account's callback.
    Key {
        /// What happens on the phone before.
        kind: KeyKind,
        /// The event's key.
        key: String,
    },
    /// A page is opened.
    View {
        /// Its address.
        url: String,
    },
    /// A mini program is opened.
    MiniProgram {
        /// The page that is opened where the phone's WeChat is too old for mini programs.
        url: String,
        /// The mini program, which must be linked with the account.
        appid: String,
        /// Its page.
        pagepath: String,
    },
    /// Permanent material is sent or opened.
    Material {
        /// Which of both.
        kind: MaterialKind,
        /// The material.
        media_id: String,
    },
    /// A published article is sent or opened.
    Article {
        /// Which of both.
        kind: ArticleKind,
        /// The article.
        article_id: String,
    },
    /// Something that WeChat has and we do not know. Only WeChat's answers have it.
    Other {
        /// WeChat's name for it; empty where it has none.
        kind: String,
        /// The rest of the button, as text.
        fields: BTreeMap<String, String>,
    },
}

/// What happens on the phone before the event is pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// Nothing.
    Click,
    /// A code is scanned, and its address opened.
    ScancodePush,
    /// A code is scanned, and the phone waits for an answer.
    ScancodeWaitmsg,
    /// A photo is taken.
    PicSysphoto,
    /// A photo is taken or chosen.
    PicPhotoOrAlbum,
    /// A photo is chosen with WeChat's own chooser.
    PicWeixin,
    /// A place is chosen.
    LocationSelect,
}

impl KeyKind {
    /// All of them, in the order of WeChat's page.
    pub const ALL: [Self; 7] = [
        Self::Click,
        Self::ScancodePush,
        Self::ScancodeWaitmsg,
        Self::PicSysphoto,
        Self::PicPhotoOrAlbum,
        Self::PicWeixin,
        Self::LocationSelect,
    ];

    /// WeChat's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Click => "click",
            Self::ScancodePush => "scancode_push",
            Self::ScancodeWaitmsg => "scancode_waitmsg",
            Self::PicSysphoto => "pic_sysphoto",
            Self::PicPhotoOrAlbum => "pic_photo_or_album",
            Self::PicWeixin => "pic_weixin",
            Self::LocationSelect => "location_select",
        }
    }
}

/// What is done with permanent material.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaterialKind {
    /// It is sent as a message.
    Sent,
    /// The article is opened.
    Opened,
}

impl MaterialKind {
    /// WeChat's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "media_id",
            Self::Opened => "view_limited",
        }
    }
}

/// What is done with a published article.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArticleKind {
    /// It is sent as a message.
    Sent,
    /// It is opened.
    Opened,
}

impl ArticleKind {
    /// WeChat's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "article_id",
            Self::Opened => "article_view_limited",
        }
    }
}

impl Action {
    /// Every type that a file may have, in the order of WeChat's page.
    pub const KINDS: [&'static str; 13] = [
        "click",
        "view",
        "scancode_push",
        "scancode_waitmsg",
        "pic_sysphoto",
        "pic_photo_or_album",
        "pic_weixin",
        "location_select",
        "media_id",
        "article_id",
        "article_view_limited",
        "view_limited",
        "miniprogram",
    ];

    /// WeChat's word for the type.
    pub fn kind(&self) -> &str {
        match self {
            Self::Key { kind, key: _ } => kind.as_str(),
            Self::View { url: _ } => "view",
            Self::MiniProgram { url: _, appid: _, pagepath: _ } => "miniprogram",
            Self::Material { kind, media_id: _ } => kind.as_str(),
            Self::Article { kind, article_id: _ } => kind.as_str(),
            Self::Other { kind, fields: _ } => kind,
        }
    }

    /// What it needs besides its type: WeChat's names with their values, in the order in which they
    /// are written.
    pub fn fields(&self) -> Vec<(&str, &str)> {
        match self {
            Self::Key { kind: _, key } => vec![("key", key)],
            Self::View { url } => vec![("url", url)],
            Self::MiniProgram { url, appid, pagepath } => {
                vec![("url", url), ("appid", appid), ("pagepath", pagepath)]
            }
            Self::Material { kind: _, media_id } => vec![("media_id", media_id)],
            Self::Article { kind: _, article_id } => vec![("article_id", article_id)],
            Self::Other { kind: _, fields } => {
                fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
            }
        }
    }
}

/// A property of users that a rule may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MatchField {
    /// A tag that the account has given them.
    TagId,
    /// Their phone: 1 iOS, 2 Android, 3 another.
    ClientPlatformType,
    /// 1 man, 2 woman.
    Sex,
    /// By its name in WeChat's list.
    Country,
    /// By its name in WeChat's list.
    Province,
    /// By its name in WeChat's list.
    City,
    /// `zh_CN`, …
    Language,
}

impl MatchField {
    /// All of them, in the order in which they are written.
    pub const ALL: [Self; 7] = [
        Self::TagId,
        Self::ClientPlatformType,
        Self::Sex,
        Self::Country,
        Self::Province,
        Self::City,
        Self::Language,
    ];

    /// WeChat's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TagId => "tag_id",
            Self::ClientPlatformType => "client_platform_type",
            Self::Sex => "sex",
            Self::Country => "country",
            Self::Province => "province",
            Self::City => "city",
            Self::Language => "language",
        }
    }
}

/// Whom a conditional menu is for: users of whom all of this is true.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MatchRule(pub BTreeMap<MatchField, String>);

impl std::fmt::Display for MatchRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (nth, (field, value)) in self.0.iter().enumerate() {
            let gap = if nth == 0 { "" } else { ", " };
            write!(f, "{gap}{} = {value}", field.as_str())?;
        }
        Ok(())
    }
}
