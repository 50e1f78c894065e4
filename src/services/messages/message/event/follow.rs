//! Somebody came, went, scanned a code or said where they are.

use crate::services::messages::message::table::messages;

messages! {
    /// Followers and where they come from. [`Message::scene`] reads a code's scene from either
    /// event.
    ///
    /// [`Message::scene`]: crate::services::messages::message::Message::scene
    pub enum Follow<'a> {
        /// Somebody follows the account now.
        Subscribe = "subscribe" {
            /// Empty for a plain follow; `qrscene_` and the scene for one by a QR code;
            /// `scanbarcode|…` or `scanimage|…` for one by a product.
            key: &'a str = "EventKey",
            /// What the picture of the QR code is fetched with.
            ticket: Option<&'a str> = "Ticket",
        },
        /// Somebody left. No reply reaches them; what is stored of them is to be deleted.
        Unsubscribe = "unsubscribe",
        /// A follower scanned a QR code of the account.
        Scan = "SCAN" {
            /// The scene, without `qrscene_`.
            scene: &'a str = "EventKey",
            /// What the picture of the QR code is fetched with.
            ticket: &'a str = "Ticket",
        },
        /// Where the user is, as their phone reports it.
        Location = "LOCATION" {
            /// In degrees.
            latitude: Option<f64> = "Latitude",
            /// In degrees.
            longitude: Option<f64> = "Longitude",
            /// In metres.
            precision: Option<f64> = "Precision",
        },
        /// Somebody opened the conversation. Very old; no longer documented.
        Enter = "ENTER",
        /// The test event of WeChat's push debugger.
        DebugDemo = "debug_demo" {
            /// What was typed there.
            text: &'a str = "debug_str",
        },
    }
}
