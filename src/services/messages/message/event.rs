//! What happened: the events of `MsgType` `event`, by theme.
//!
//! A handler matches as deep as it needs: `Event::Menu(_)`, or
//! `Event::Menu(Menu::Click { key })`. The tables of all names and fields are in the files below.

pub mod agent;
pub mod card;
pub mod follow;
pub mod invoice;
pub mod job;
pub mod legacy;
pub mod menu;
pub mod mini_program;
pub mod privacy;
pub mod subscription;
pub mod verification;

use crate::services::messages::fields::Fields;
use agent::Agent;
use card::Card;
use follow::Follow;
use invoice::Invoice;
use job::Job;
use legacy::Legacy;
use menu::Menu;
use mini_program::MiniProgram;
use privacy::Privacy;
use subscription::Subscription;
use verification::Verification;

/// Declares the themes.
macro_rules! themes {
    ($( $(#[$what:meta])* $Theme:ident, )*) => {
        /// What happened.
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum Event<'a> {
            $( $(#[$what])* $Theme($Theme<'a>), )*
            /// An event that this version does not know; its fields are in the message.
            Unknown,
        }

        impl<'a> Event<'a> {
            /// The names of all events that are known, as WeChat writes them.
            pub fn names() -> impl Iterator<Item = &'static str> {
                let themes: [&[&str]; _] = [$( $Theme::NAMES, )*];
                themes.into_iter().flatten().copied()
            }

            /// What the event with these fields is.
            pub(super) fn of(fields: &'a Fields) -> Self {
                let name = fields.text("Event").unwrap_or_default();
                $(
                    if let Some(event) = $Theme::named(name, fields) {
                        return Self::$Theme(event);
                    }
                )*
                Self::Unknown
            }
        }
    };
}

// The commonest first: names are looked for in this order.
themes! {
    /// Somebody came, went, scanned a code or said where they are.
    Follow,
    /// A button of the menu was tapped.
    Menu,
    /// A mass sending, a template message or a publication is done.
    Job,
    /// Answers to subscription messages.
    Subscription,
    /// Human agents and their sessions.
    Agent,
    /// The account's verification by WeChat.
    Verification,
    /// A user took back what they had allowed.
    Privacy,
    /// Cards and vouchers.
    Card,
    /// Electronic invoices.
    Invoice,
    /// Mini programs.
    MiniProgram,
    /// Products that WeChat has given up.
    Legacy,
}
