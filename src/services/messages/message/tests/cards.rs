//! What the samples of cards' and invoices' events say.

use super::Table;
use crate::services::messages::message::card::Card::{self, *};
use crate::services::messages::message::invoice::Invoice;
use crate::services::messages::message::{Content, Event};

const CARD: &str = "pfDiY0i8kFe3Z3h2nRk0SxIVv0Ys";
const CODE: &str = "226009850808";
const FRIEND: &str = "ofriend0000000000000000000x";
const PAGE: &str = "OZyzWdR2JvRQ+cDQpvN6MKsVyGjKqs/W5IcEwJCpAWk=";
const ORDER: &str = "Z2y2rY74ksZX1ceuGA";

pub(super) fn table() -> Table {
    let card = |event: Card<'static>| Content::Event(Event::Card(event));
    let mut table = vec![
        ("event.card_pass_check", card(Passed { card_id: CARD })),
        ("event.card_not_pass_check", card(NotPassed { card_id: CARD, reason: "非法代制" })),
        (
            "event.user_get_card",
            card(Taken {
                card_id: CARD,
                code: CODE,
                given_by_friend: Some(true),
                friend: Some(FRIEND),
                old_code: Some("226009850807"),
                outer_id: Some(1),
                outer_str: Some("12b"),
                restored: Some(false),
                recommended_by_friend: Some(false),
                union_id: Some("o6_bmasdasdsad6_2sgVt7hMZOPfL"),
            }),
        ),
        (
            "event.user_gifting_card",
            card(Gifting {
                card_id: CARD,
                code: CODE,
                returned: Some(false),
                friend: Some(FRIEND),
                to_group: Some(true),
            }),
        ),
        ("event.user_del_card", card(Deleted { card_id: CARD, code: CODE })),
        ("event.user_enter_session_from_card", card(EnteredSession { card_id: CARD, code: CODE })),
        ("event.submit_membercard_user_info", card(MemberInfoSubmitted { card_id: CARD, code: CODE })),
        (
            "event.user_consume_card",
            card(Consumed {
                card_id: CARD,
                code: CODE,
                source: "FROM_API",
                shop: Some("客村店"),
                staff: Some("oZ8jT0staff"),
                verify_code: Some("1234"),
                remark_amount: Some("12.50"),
                outer_str: Some("xxxxx"),
            }),
        ),
        (
            "event.user_pay_from_pay_cell",
            card(Paid {
                card_id: CARD,
                code: CODE,
                transaction: "10022403432015000000000",
                shop_id: Some(291_710_000),
                fee: Some(10_000),
                original_fee: Some(10_500),
            }),
        ),
        ("event.user_view_card", card(Viewed { card_id: CARD, code: CODE, outer_str: Some("12b") })),
        (
            "event.update_member_card",
            card(MemberUpdated { card_id: CARD, code: CODE, bonus: Some(-3), balance: Some(500) }),
        ),
        (
            "event.card_sku_remind",
            card(StockLow { card_id: CARD, detail: "the card's quantity is equal to 0" }),
        ),
        (
            "event.card_pay_order",
            card(CoinsOrdered {
                order_id: "404091456",
                status: "ORDER_STATUS_FINANCE_SUCC",
                created: Some(1_472_631_500),
                paid: Some(1_472_631_540),
                description: "",
                free_coins: Some(200),
                paid_coins: Some(0),
                refunded_free_coins: Some(0),
                refunded_paid_coins: Some(0),
                order_type: "ORDER_TYPE_SYS_ADD",
                memo: "开通账户奖励",
                receipt: "",
            }),
        ),
    ];
    table.extend(gifts_and_invoices());
    table
}

fn gifts_and_invoices() -> Table {
    let card = |event: Card<'static>| Content::Event(Event::Card(event));
    let invoice = |event: Invoice<'static>| Content::Event(Event::Invoice(event));
    vec![
        ("event.giftcard_pay_done", card(GiftPaid { page_id: PAGE, order_id: ORDER })),
        (
            "event.giftcard_send_to_friend",
            card(GiftSent { page_id: PAGE, order_id: ORDER, to_group: Some(true), returned: Some(false) }),
        ),
        (
            "event.giftcard_user_accept",
            card(GiftAccepted { page_id: PAGE, order_id: ORDER, to_group: Some(false) }),
        ),
        (
            "event.user_authorize_invoice",
            invoice(Invoice::Authorized {
                succeeded_order: Some("1202933957956"),
                failed_order: None,
                app_id: "wxf83dd777cffa4eab",
                source: "web",
            }),
        ),
        (
            "event.update_invoice_status",
            invoice(Invoice::StatusUpdated {
                status: "INVOICE_REIMBURSE_INIT",
                card_id: "pjZ8Yt7Um2jYxzneP8GomnxoVFWo",
                code: "186921658591",
            }),
        ),
        (
            "event.submit_invoice_title",
            invoice(Invoice::TitleSubmitted {
                title: "样例公司抬头",
                tax_no: "1486715661",
                address: "广州市海珠区",
                phone: "13313331333",
                bank: "招商银行",
                bank_no: "6214830000000000",
                attach: "order-7",
                title_type: "InvoiceUserTitleBusinessType",
            }),
        ),
    ]
}
