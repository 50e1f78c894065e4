//! A button of the menu was tapped.

use crate::services::messages::message::table::messages;

messages! {
    /// What button it was, and what the user chose behind it.
    pub enum Menu<'a> {
        /// A button that asks for an answer.
        Click = "CLICK" {
            /// The button's key.
            key: &'a str = "EventKey",
        },
        /// A button that opened a page; it opens whatever is answered.
        View = "VIEW" {
            /// Where the page is.
            url: &'a str = "EventKey",
            /// Which conditional menu it was.
            menu_id: Option<&'a str> = "MenuId",
        },
        /// A button that opened a mini program.
        ViewMiniProgram = "view_miniprogram" {
            /// The page within it.
            page_path: &'a str = "EventKey",
            /// Which conditional menu it was.
            menu_id: Option<&'a str> = "MenuId",
        },
        /// Something was scanned, and WeChat has shown it.
        ScanCodePush = "scancode_push" {
            /// The button's key.
            key: &'a str = "EventKey",
            /// `qrcode` or `barcode`.
            code_type: &'a str = "ScanCodeInfo/ScanType",
            /// What the code says; a bar code has its kind in front: `EAN_13,690…`.
            result: &'a str = "ScanCodeInfo/ScanResult",
        },
        /// Something was scanned, and the user looks at "receiving" until an answer comes.
        ScanCodeWaitMsg = "scancode_waitmsg" {
            /// The button's key.
            key: &'a str = "EventKey",
            /// `qrcode` or `barcode`.
            code_type: &'a str = "ScanCodeInfo/ScanType",
            /// What the code says; a bar code has its kind in front: `EAN_13,690…`.
            result: &'a str = "ScanCodeInfo/ScanResult",
        },
        /// Pictures were taken or chosen; they follow as messages of their own. The event's name
        /// tells the camera (`pic_sysphoto`) from the album.
        Pictures = "pic_sysphoto" | "pic_photo_or_album" | "pic_weixin" {
            /// The button's key.
            key: &'a str = "EventKey",
            /// How many there are.
            count: Option<u64> = "SendPicsInfo/Count",
            /// Their MD5s in hexadecimal digits.
            md5s: Vec<&'a str> = "SendPicsInfo/PicList/item/PicMd5Sum",
        },
        /// A place was chosen; it follows as a message of its own.
        LocationSelect = "location_select" {
            /// The button's key.
            key: &'a str = "EventKey",
            /// In degrees.
            latitude: Option<f64> = "SendLocationInfo/Location_X",
            /// In degrees.
            longitude: Option<f64> = "SendLocationInfo/Location_Y",
            /// The zoom of the map.
            scale: Option<u64> = "SendLocationInfo/Scale",
            /// Its address.
            label: &'a str = "SendLocationInfo/Label",
            /// Its name, if it has one.
            poi_name: Option<&'a str> = "SendLocationInfo/Poiname",
        },
    }
}
