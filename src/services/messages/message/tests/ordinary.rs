//! What the samples of ordinary messages say.

use super::Table;
use crate::services::messages::message::Content::*;

const OPENID: &str = "oia2TjuEGTNoeX76QEjQNrcURxG8";
const ACCOUNT: &str = "gh_7f083739789a";
const DEVICE: &str = "gh_7f083739789a_8cd47e1f6141e49a";

pub(super) fn table() -> Table {
    let device_event = |event, session, content, operation| DeviceEvent {
        event,
        device_type: ACCOUNT,
        device_id: DEVICE,
        session,
        content,
        operation,
        openid: OPENID,
    };
    vec![
        ("text", Text { content: "你好，中控 😀", menu_item: None }),
        ("text.menu", Text { content: "满意", menu_item: Some("101") }),
        (
            "image",
            Image {
                url: "http://mmbiz.qpic.cn/mmbiz_jpg/qpeRIZHqq5/0",
                media_id: "lqyqQ6QFbv1Xh4hYkJV6WDgT5xRz",
            },
        ),
        (
            "voice",
            Voice {
                media_id: "k1eVr7t2VgkkB2gFpvQ-XhNd",
                format: "amr",
                recognition: Some("今天天气怎么样？"),
                media_id_16k: Some("k1eVr7t2VgkkB2gFpvQ-XhNd_16k"),
            },
        ),
        ("video", Video { media_id: "xP1RrVJtUZZsSPj0nbDp", thumb_media_id: "2YfzVqYGkPpZ7tOjZJ3G" }),
        (
            "shortvideo",
            ShortVideo { media_id: "QoDbtmBSN9x7Vs2rJk0z", thumb_media_id: "c5eMPl2cXU1vzbYhnQ4k" },
        ),
        (
            "location",
            Location {
                latitude: Some(23.134_521),
                longitude: Some(113.358_803),
                scale: Some(20),
                label: "广州市海珠区客村艺苑路 106号",
            },
        ),
        (
            "link",
            Link {
                title: "公众平台官网链接",
                description: "公众平台官网链接",
                url: "https://mp.weixin.qq.com/s?__biz=MzA3&mid=200&idx=1#rd",
            },
        ),
        (
            "file",
            File {
                title: "报价单.xlsx",
                description: "12.3KB",
                key: "a8f2c1e07d_key",
                md5: "098f6bcd4621d373cade4e832627b4f6",
                size: Some(12_595),
            },
        ),
        (
            "miniprogrampage",
            MiniProgramPage {
                title: "订单详情",
                app_id: "wx13974bf780d3dc89",
                page_path: "pages/order/index?id=7",
                thumb_url: "http://mmbiz.qpic.cn/thumb/0?wx_fmt=png",
                thumb_media_id: "Vz7s1QO3MHbCgXhZb0fD",
            },
        ),
        (
            "device_text",
            DeviceText {
                device_type: ACCOUNT,
                device_id: DEVICE,
                session: Some(9394),
                content: "MTIz",
                openid: OPENID,
            },
        ),
        ("device_event.bind", device_event("bind", Some(0), Some("c3Vic2NyaWJl"), None)),
        ("device_event.unbind", device_event("unbind", Some(0), Some("c3Vic2NyaWJl"), None)),
        ("device_event.subscribe_status", device_event("subscribe_status", None, None, Some(1))),
        ("device_event.unsubscribe_status", device_event("unsubscribe_status", None, None, Some(2))),
        (
            "device_status",
            DeviceStatus { device_type: ACCOUNT, device_id: DEVICE, status: Some(1), openid: OPENID },
        ),
        ("hardware", Hardware { view: "myrank", action: "ranklist" }),
    ]
}
