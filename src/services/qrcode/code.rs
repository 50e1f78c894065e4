//! What a code is: a scene, and how long it lives.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::clock::WallTime;

/// Longest life of a temporary code.
const LONGEST: Duration = Duration::from_hours(30 * 24);
/// Highest number of a permanent code.
const HIGHEST_PERMANENT: u32 = 100_000;
/// Longest scene, in characters.
pub(super) const LONGEST_SCENE: usize = 64;

/// What the event of a scan says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scene {
    /// A number.
    Number(u32),
    /// A text.
    Text(String),
}

impl Scene {
    /// A number where it is one that fits, else a text.
    pub fn of(text: &str) -> Self {
        // "007" would come back as "7".
        match text.parse::<u32>() {
            Ok(number) if number > 0 && number.to_string() == text => Self::Number(number),
            Ok(_) | Err(_) => Self::Text(text.to_owned()),
        }
    }

    /// `int`, `str`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Number(_) => "int",
            Self::Text(_) => "str",
        }
    }
}

impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// How long a code lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// For ever. An account has 100,000.
    Permanent,
    /// So long; 30 days at most.
    Temporary(Duration),
}

impl Life {
    /// `permanent`, `temporary`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Permanent => "permanent",
            Self::Temporary(_) => "temporary",
        }
    }
}

/// A code that can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    scene: Scene,
    life: Life,
}

/// WeChat would not make such a code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Of a permanent one.
    #[error("a permanent code has a number from 1 to {HIGHEST_PERMANENT}, or a text: {0} is too high")]
    Number(u32),
    /// Of a text.
    #[error("a scene has 1 to {LONGEST_SCENE} characters: this one has {0}")]
    Length(usize),
    /// Of a text.
    #[error("a scene has a control character in it: remove it")]
    Control,
    /// Of a life.
    #[error("a temporary code lives from 1 second to 30 days")]
    Life,
}

impl Spec {
    /// A code that WeChat makes.
    ///
    /// # Errors
    /// It does not make such a one.
    pub fn new(scene: Scene, life: Life) -> Result<Self, SpecError> {
        match (&scene, life) {
            (Scene::Number(number), Life::Permanent) if *number > HIGHEST_PERMANENT => {
                return Err(SpecError::Number(*number));
            }
            (Scene::Text(text), _) => {
                let length = text.chars().count();
                if !(1..=LONGEST_SCENE).contains(&length) {
                    return Err(SpecError::Length(length));
                }
                if text.chars().any(char::is_control) {
                    return Err(SpecError::Control);
                }
            }
            (Scene::Number(_), _) => {}
        }
        match life {
            Life::Temporary(life) if life < Duration::from_secs(1) || life > LONGEST => Err(SpecError::Life),
            Life::Temporary(_) | Life::Permanent => Ok(Self { scene, life }),
        }
    }

    /// What the event says.
    pub fn scene(&self) -> &Scene {
        &self.scene
    }

    /// How long it lives.
    pub fn life(&self) -> Life {
        self.life
    }

    /// The body of `qrcode/create`.
    pub(super) fn body(&self) -> Value {
        let scene = match &self.scene {
            Scene::Number(number) => json!({ "scene_id": number }),
            Scene::Text(text) => json!({ "scene_str": text }),
        };
        let name = match (&self.scene, self.life) {
            (Scene::Number(_), Life::Temporary(_)) => "QR_SCENE",
            (Scene::Text(_), Life::Temporary(_)) => "QR_STR_SCENE",
            (Scene::Number(_), Life::Permanent) => "QR_LIMIT_SCENE",
            (Scene::Text(_), Life::Permanent) => "QR_LIMIT_STR_SCENE",
        };
        let mut body = json!({ "action_name": name, "action_info": { "scene": scene } });
        if let (Life::Temporary(life), Some(fields)) = (self.life, body.as_object_mut()) {
            fields.insert("expire_seconds".to_owned(), life.as_secs().into());
        }
        body
    }
}

/// A code that WeChat made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// What the event says.
    pub scene: Scene,
    /// For ever, or so long from its making.
    pub life: Life,
    /// By which WeChat draws it.
    pub ticket: String,
    /// What is in the picture.
    pub url: String,
    /// What its maker wrote about it.
    pub note: String,
    /// When it was asked for.
    pub made: WallTime,
    /// When it stops working; none for a permanent one.
    pub ends: Option<WallTime>,
}

impl Code {
    /// Whether it works at this time.
    pub fn works(&self, now: WallTime) -> bool {
        self.ends.is_none_or(|ends| ends > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_those_of_wechats_page() {
        let day = Life::Temporary(Duration::from_secs(604_800));
        let cases = [
            (
                "123",
                day,
                r#"{"action_info":{"scene":{"scene_id":123}},"action_name":"QR_SCENE","expire_seconds":604800}"#,
            ),
            (
                "test",
                day,
                r#"{"action_info":{"scene":{"scene_str":"test"}},"action_name":"QR_STR_SCENE","expire_seconds":604800}"#,
            ),
            (
                "123",
                Life::Permanent,
                r#"{"action_info":{"scene":{"scene_id":123}},"action_name":"QR_LIMIT_SCENE"}"#,
            ),
            (
                "门店 1",
                Life::Permanent,
                r#"{"action_info":{"scene":{"scene_str":"门店 1"}},"action_name":"QR_LIMIT_STR_SCENE"}"#,
            ),
        ];
        for (scene, life, body) in cases {
            let body: Value = serde_json::from_str(body).unwrap();
            assert_eq!(Spec::new(Scene::of(scene), life).unwrap().body(), body);
        }
    }

    #[test]
    fn each_limit_holds_and_one_over_does_not() {
        let days = |days: u64| Life::Temporary(Duration::from_hours(24 * days));
        let spec = |scene: &str, life| Spec::new(Scene::of(scene), life);
        assert!(spec("100000", Life::Permanent).is_ok());
        assert_eq!(spec("100001", Life::Permanent), Err(SpecError::Number(100_001)));
        assert!(spec("4294967295", days(30)).is_ok());
        assert_eq!(Scene::of("4294967296").kind(), "str", "one over is a text");
        assert_eq!((Scene::of("0").kind(), Scene::of("007").kind()), ("str", "str"));
        assert!(spec(&"汉".repeat(64), days(1)).is_ok());
        assert_eq!(spec(&"汉".repeat(65), days(1)), Err(SpecError::Length(65)));
        assert_eq!(spec("", Life::Permanent), Err(SpecError::Length(0)));
        assert_eq!(spec("a\nb", Life::Permanent), Err(SpecError::Control));
        assert_eq!(spec("a", days(31)), Err(SpecError::Life));
        assert_eq!(spec("a", Life::Temporary(Duration::from_millis(900))), Err(SpecError::Life));
    }
}
