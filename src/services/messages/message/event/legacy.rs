//! Products that WeChat has given up or hardly documents: shops, beacons, Wi-Fi, product codes,
//! devices, shopping guides.

use crate::services::messages::message::table::{items, messages};

messages! {
    /// What happened in a product that is hardly used any more. Times are Unix seconds.
    pub enum Legacy<'a> {
        /// A shop was checked.
        PoiChecked = "poi_check_notify" {
            /// The account's own id of it.
            unique_id: &'a str = "UniqId",
            /// WeChat's id of it.
            poi_id: &'a str = "PoiId",
            /// `succ` or `fail`.
            result: &'a str = "Result",
            /// Why.
            message: &'a str = "Msg|msg",
        },
        /// A user shook their phone near beacons.
        Shaken = "ShakearoundUserShake" {
            /// The one that answered.
            chosen: Vec<Beacon<'a>> = "ChosenBeacon",
            /// Others nearby.
            around: Vec<Beacon<'a>> = "AroundBeacons/AroundBeacon",
        },
        /// A user is in the shop's Wi-Fi.
        WifiConnected = "WifiConnected" {
            /// Since when.
            connected: Option<u64> = "ConnectTime",
            /// Until when.
            expires: Option<u64> = "ExpireTime",
            /// Who runs it.
            vendor_id: &'a str = "VendorId",
            /// The shop.
            place_id: &'a str = "PlaceId|ShopId",
            /// The access point's BSSID.
            bssid: &'a str = "DeviceNo",
        },
        /// An order of WeChat's shop was paid.
        Ordered = "merchant_order" {
            /// The order.
            order_id: &'a str = "OrderId",
            /// 2 paid.
            status: Option<u64> = "OrderStatus",
            /// The product.
            product_id: &'a str = "ProductId",
            /// Its variant: `10001:1000012;10002:100021`.
            sku: &'a str = "SkuInfo",
        },
        /// A user scanned a product.
        ProductScanned = "user_scan_product" {
            /// `ean13` and such.
            standard: &'a str = "KeyStandard",
            /// The code.
            code: &'a str = "KeyStr",
            /// The user's country.
            country: &'a str = "Country",
            /// The user's province.
            province: &'a str = "Province",
            /// The user's city.
            city: &'a str = "City",
            /// 1 man, 2 woman, 0 unknown.
            sex: Option<u64> = "Sex",
            /// 0 the camera, 1 others' conversation, 2 a page and others.
            scene: Option<u64> = "Scene",
            /// What the account put into the code.
            extra: &'a str = "ExtInfo",
        },
        /// A user came into the conversation from a product.
        ProductEnteredSession = "user_scan_product_enter_session" {
            /// `ean13` and such.
            standard: &'a str = "KeyStandard",
            /// The code.
            code: &'a str = "KeyStr",
            /// What the account put into the code.
            extra: &'a str = "ExtInfo",
        },
        /// A product's page asks where the user is.
        ProductAsync = "user_scan_product_async" {
            /// `ean13` and such.
            standard: &'a str = "KeyStandard",
            /// The code.
            code: &'a str = "KeyStr",
            /// What the account put into the code.
            extra: &'a str = "ExtInfo",
            /// Where the user is.
            region: &'a str = "RegionCode",
        },
        /// A product was checked.
        ProductVerified = "user_scan_product_verify_action" {
            /// `ean13` and such.
            standard: &'a str = "KeyStandard",
            /// The code.
            code: &'a str = "KeyStr",
            /// `verify_ok` or `verify_not_ok`.
            result: &'a str = "Result",
            /// Why.
            reason: &'a str = "ReasonMsg",
        },
        /// A device was bound or unbound, or sent something; the event's name tells which.
        Device = "device_bind" | "device_unbind" | "device_text"
            | "device_subscribe_status" | "device_unsubscribe_status" {
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
        /// A user scanned the code of a shopping guide.
        GuideScanned = "guide_qrcode_scan_event" {
            /// The guide.
            guide: &'a str = "GuideScanEvent/qrcode_guide_account",
            /// The guide's openid.
            guide_openid: &'a str = "GuideScanEvent/qrcode_guide_openid",
            /// The user's.
            openid: &'a str = "GuideScanEvent/openid",
            /// What came of it.
            action: Option<u64> = "GuideScanEvent/action",
            /// What the guide put into the code.
            info: &'a str = "GuideScanEvent/qrcode_info",
        },
    }
}

items! {
    /// A beacon.
    pub struct Beacon<'a> {
        /// Its UUID.
        uuid: &'a str = "Uuid",
        /// The first part of its number.
        major: Option<u64> = "Major",
        /// The second part of its number.
        minor: Option<u64> = "Minor",
        /// In metres.
        distance: Option<f64> = "Distance",
    }
}
