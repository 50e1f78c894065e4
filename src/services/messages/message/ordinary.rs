//! What a message says: one variant for each `MsgType`.
//!
//! Media ids are of temporary media. Texts are empty and numbers `None` where WeChat sent
//! nothing; what is rarely there is an `Option`.

use super::event::Event;
use super::table::messages;
use crate::services::messages::fields::Fields;

messages! {
    /// What was said or done.
    pub enum Content<'a> {
        /// A text.
        Text = "text" {
            /// What the user wrote, without control characters.
            content: &'a str = "Content",
            /// Which item of a menu message was tapped: its id.
            menu_item: Option<&'a str> = "bizmsgmenuid",
        },
        /// A picture.
        Image = "image" {
            /// Where it is.
            url: &'a str = "PicUrl",
            /// The medium.
            media_id: &'a str = "MediaId",
        },
        /// A voice message.
        Voice = "voice" {
            /// The medium.
            media_id: &'a str = "MediaId",
            /// `amr`, `speex` and such.
            format: &'a str = "Format",
            /// What speech recognition understood, if it is on.
            recognition: Option<&'a str> = "Recognition",
            /// The medium with 16,000 samples a second.
            media_id_16k: Option<&'a str> = "MediaId16K",
        },
        /// A video.
        Video = "video" {
            /// The medium.
            media_id: &'a str = "MediaId",
            /// The medium of its picture.
            thumb_media_id: &'a str = "ThumbMediaId",
        },
        /// A short video, recorded in the conversation.
        ShortVideo = "shortvideo" {
            /// The medium.
            media_id: &'a str = "MediaId",
            /// The medium of its picture.
            thumb_media_id: &'a str = "ThumbMediaId",
        },
        /// A place.
        Location = "location" {
            /// In degrees.
            latitude: Option<f64> = "Location_X",
            /// In degrees.
            longitude: Option<f64> = "Location_Y",
            /// The zoom of the map.
            scale: Option<u64> = "Scale",
            /// Its address.
            label: &'a str = "Label",
        },
        /// A page that the user passed on.
        Link = "link" {
            /// Its headline.
            title: &'a str = "Title",
            /// What it is about.
            description: &'a str = "Description",
            /// Where it is.
            url: &'a str = "Url",
        },
        /// A file.
        File = "file" {
            /// Its name.
            title: &'a str = "Title",
            /// What WeChat says of it.
            description: &'a str = "Description",
            /// Names it to WeChat.
            key: &'a str = "FileKey",
            /// Its MD5 in hexadecimal digits.
            md5: &'a str = "FileMd5",
            /// Its size in bytes.
            size: Option<u64> = "FileTotalLen",
        },
        /// A card of a mini program, sent to the mini program's customer service.
        MiniProgramPage = "miniprogrampage" {
            /// Its headline.
            title: &'a str = "Title",
            /// The mini program.
            app_id: &'a str = "AppId",
            /// The page within it.
            page_path: &'a str = "PagePath",
            /// Where its picture is.
            thumb_url: &'a str = "ThumbUrl",
            /// The medium of its picture.
            thumb_media_id: &'a str = "ThumbMediaId",
        },
        /// What a device sent to its maker. Obsolete.
        DeviceText = "device_text" {
            /// The account of the maker.
            device_type: &'a str = "DeviceType",
            /// The device.
            device_id: &'a str = "DeviceID",
            /// The answer must name it.
            session: Option<u64> = "SessionID",
            /// In Base64.
            content: &'a str = "Content",
            /// Who uses the device.
            openid: &'a str = "OpenID",
        },
        /// A device was bound, unbound or asked for. Obsolete.
        DeviceEvent = "device_event" {
            /// `bind`, `unbind`, `subscribe_status`, `unsubscribe_status`.
            event: &'a str = "Event",
            /// The account of the maker.
            device_type: &'a str = "DeviceType",
            /// The device.
            device_id: &'a str = "DeviceID",
            /// The answer must name it.
            session: Option<u64> = "SessionID",
            /// In Base64.
            content: Option<&'a str> = "Content",
            /// What is asked for: 0 stop, 1 start sending the status.
            operation: Option<u64> = "OpType",
            /// Who uses the device.
            openid: &'a str = "OpenID",
        },
        /// A device came or went. Obsolete.
        DeviceStatus = "device_status" {
            /// The account of the maker.
            device_type: &'a str = "DeviceType",
            /// The device.
            device_id: &'a str = "DeviceID",
            /// 0 away, 1 connected.
            status: Option<u64> = "DeviceStatus",
            /// Who uses the device.
            openid: &'a str = "OpenID",
        },
        /// A sports device's ranking was opened. Obsolete.
        Hardware = "hardware" {
            /// `myrank`
            view: &'a str = "HardWare/MessageView",
            /// `ranklist`
            action: &'a str = "HardWare/MessageAction",
        },
    }
    and {
        /// `event`: something happened.
        Event(Event<'a>),
        /// A type that this version does not know; its fields are in the message.
        Unknown,
    }
}

impl<'a> Content<'a> {
    /// What the push with these fields says.
    pub(super) fn of(fields: &'a Fields) -> Self {
        let name = fields.text("MsgType").unwrap_or_default();
        if name.eq_ignore_ascii_case("event") {
            return Self::Event(Event::of(fields));
        }
        Self::named(name, fields).unwrap_or(Self::Unknown)
    }
}
